/** It took longer than its time limit. */
export class TimeLimitError extends Error {
  override readonly name = "TimeLimitError";
}

/** The promise's result, or a {@link TimeLimitError} when it takes longer than `limitMs`, or the signal's reason. */
export async function within<T>(limitMs: number, promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new TimeLimitError(`No answer within ${String(limitMs)} ms.`));
    }, limitMs);
    onAbort = () => {
      reject(abortReason(signal));
    };
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
  }
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error("It was given up.");
}
