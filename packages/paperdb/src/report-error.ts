/** Hands an error that nobody else takes to the runtime, as an error of a listener of its own would be. */
export function reportUncaught(error: unknown): void {
  // oxlint-disable-next-line no-console -- Node has no reportError; silence would hide the error.
  (globalThis.reportError ?? console.error)(error);
}
