/** The composition root: the one place that knows every stage's implementation. */
export const VERSION = "0.1.0";
