import type { ClusterTime } from "./position.ts";
import type { Read, StreamReader } from "./stream-reader.ts";

interface Waiting {
  readonly time: ClusterTime;
  readonly resolve: () => void;
}

/** Who waits for a stream to have read everything up to a time. */
export class Arrivals {
  readonly #waiting = new Set<Waiting>();

  /** Resolves once the stream has come so far, the one of now or one that follows it. Rejects with the signal's reason. */
  async reached(time: ClusterTime, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const waiting = { time, resolve: done };
      const abandon = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason instanceof Error ? signal.reason : new Error("It was given up."));
      };
      function done(): void {
        signal.removeEventListener("abort", abandon);
        resolve();
      }
      signal.addEventListener("abort", abandon, { once: true });
      this.#waiting.add(waiting);
    });
  }

  /** Reads on. What is asked for while the server is being asked is left to the next answer, which may be later. */
  async next(reader: StreamReader): Promise<Read> {
    if (this.#waiting.size === 0 || reader.isOpening) return reader.next();
    const asking = [...this.#waiting];
    const read = await reader.next();
    for (const waiting of asking) {
      const isReached = read === "idle" ? reader.hasReached(waiting.time) : read.time > waiting.time;
      if (!isReached) continue;
      this.#waiting.delete(waiting);
      // What was read before is on its way to the log; this event is not yet.
      waiting.resolve();
    }
    return read;
  }
}
