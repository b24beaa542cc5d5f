/** The text of a value is not what its type writes. Its message has no data of rows. */
export class UnexpectedTextError extends Error {
  override readonly name = "UnexpectedTextError";

  /** @param what - of which a text is malformed: `an array`. */
  constructor(what: string) {
    super(`The text of ${what} is not what its type writes.`);
  }
}
