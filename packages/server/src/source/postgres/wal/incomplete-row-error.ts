/**
 * A row's values are not all there, or not what they were thought to be. No document can be made of it, so whoever
 * watches the table is reset.
 */
export class IncompleteRowError extends Error {
  override readonly name = "IncompleteRowError";
  /** For logs; `identity` and `unchanged_toast`: the table has not REPLICA IDENTITY FULL. */
  readonly reason: "identity" | "unchanged_toast" | "type_changed" | "renamed";

  constructor(reason: IncompleteRowError["reason"], options?: ErrorOptions) {
    super(`A row cannot be made a document: ${reason}.`, options);
    this.reason = reason;
  }
}
