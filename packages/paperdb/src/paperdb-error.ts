/** What {@link PaperDBError} takes besides its code and sentence. */
export interface PaperDBErrorOptions {
  /** HTTP status of the answer, or close code of the connection. */
  readonly status?: number | undefined;
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
}

/** An error with a stable code, and a sentence for the person who has to act on it. */
export class PaperDBError extends Error {
  /** Stable: one of the server's codes, or one of the SDK's own (see its README). */
  declare readonly code: string;
  /** HTTP status of the answer, or close code of the connection, where there was one. */
  declare readonly status: number | undefined;
  /** Whether the same request may succeed later. */
  declare readonly retryable: boolean;

  constructor(code: string, message: string, { status, retryable = false, cause }: PaperDBErrorOptions = {}) {
    super(message, { cause });
    this.name = "PaperDBError";
    this.code = code;
    this.status = status;
    this.retryable = retryable;
  }
}
