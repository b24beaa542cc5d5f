/** One thing that `doctor` looked at. */
export interface Finding {
  readonly level: "ok" | "warning" | "error";
  /** What was found, as a sentence. */
  readonly title: string;
  /** What to do about it. */
  readonly fix?: string;
}
