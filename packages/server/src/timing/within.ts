/** It took longer than its time limit. */
export class TimeLimitError extends Error {
  override readonly name = "TimeLimitError";
}

/** The promise's result, or a {@link TimeLimitError} when it takes longer than `limitMs`. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new TimeLimitError(`No answer within ${String(limitMs)} ms.`));
    }, limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
