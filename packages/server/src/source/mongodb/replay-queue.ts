import { classify } from "./errors.ts";
import { clusterTimeMs, timeOf } from "./position.ts";
import { replay } from "./replay.ts";
import type { Replayed, ReplayPart, ReplayRequest } from "./replay-part.ts";

/** Those that come together and begin within it share a stream: it reads from the first of their places. */
const SHARED_SPAN_MS = 30_000;
/** Tenants in a stream. */
const MAX_SHARERS = 500;

interface Waiting {
  readonly request: ReplayRequest;
  /** Equal for those that can share a stream. */
  readonly group: string;
  /** With how many others at most it is tried. */
  readonly maxSharers: number;
  readonly resolve: (replayed: Replayed) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads events again for clients that come back. All that come while a stream is read share the next one. */
export class ReplayQueue {
  readonly #maxConcurrent: number;
  #waiting: Waiting[] = [];
  /** Groups whose streams are being read. */
  readonly #running = new Set<string>();

  /** @param maxConcurrent - streams at a time. */
  constructor(maxConcurrent: number) {
    this.#maxConcurrent = maxConcurrent;
  }

  run(request: ReplayRequest): Promise<Replayed> {
    const group = groupOf(request);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, group, maxSharers: MAX_SHARERS, resolve, reject });
      this.#start();
    });
  }

  #start(): void {
    while (this.#running.size < this.#maxConcurrent) {
      const next = this.#waiting.find(({ group }) => !this.#running.has(group));
      if (next === undefined) return;
      const { group } = next;
      const sharers = this.#takeSharers(group);
      this.#running.add(group);
      void this.#replay(sharers).finally(() => {
        this.#running.delete(group);
        this.#start();
      });
    }
  }

  /** Those that begin first. */
  #takeSharers(group: string): readonly Waiting[] {
    const candidates = this.#waiting.filter((waiting) => waiting.group === group);
    const count = Math.min(...candidates.map(({ maxSharers }) => maxSharers));
    const sharers = new Set(candidates.toSorted(bySince).slice(0, count));
    this.#waiting = this.#waiting.filter((waiting) => !sharers.has(waiting));
    return [...sharers];
  }

  async #replay(sharers: readonly Waiting[]): Promise<void> {
    try {
      const parts = await replay(sharers.map(({ request }) => request));
      for (const [index, waiting] of sharers.entries()) this.#settle(waiting, parts[index], sharers.length);
    } catch (error) {
      // Perhaps for the one that begins first only.
      const isAgain = classify(error) === "history_lost" && sharers.length > 1;
      for (const waiting of sharers) {
        if (isAgain) this.#tryAgain(waiting, sharers.length);
        else waiting.reject(error);
      }
    }
  }

  /** One that is not done when it was alone is refused. */
  #settle(waiting: Waiting, part: ReplayPart | undefined, sharers: number): void {
    if (part?.isOpen === true && sharers > 1) this.#tryAgain(waiting, sharers);
    else waiting.resolve(part?.result);
  }

  /** With half as many others. */
  #tryAgain(waiting: Waiting, sharers: number): void {
    this.#waiting.push({ ...waiting, maxSharers: Math.ceil(sharers / 2) });
  }
}

function bySince({ request: one }: Waiting, { request: other }: Waiting): number {
  return one.since < other.since ? -1 : 1;
}

function groupOf({ since, stream }: ReplayRequest): string {
  const { collection, images, withHidden } = stream;
  const span = Math.floor(clusterTimeMs(timeOf(since)) / SHARED_SPAN_MS);
  return JSON.stringify([collection.name, collection.uuid, images, withHidden, span]);
}
