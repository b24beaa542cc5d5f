import type { Position } from "@paperdb/protocol";
import type { Snapshot, SnapshotSeam } from "../source/change-source.ts";
import type { SnapshotBatch, SnapshotReading } from "./snapshot-reading.ts";

/** What a {@link Reader} asks of the read that it shares. */
export interface ReaderHost {
  batchAt(number: number): SnapshotBatch | "pending" | "none";
  /** It has taken the batch before the one of its number. */
  moved(reader: Reader): void;
  seam(): Promise<SnapshotSeam>;
  left(reader: Reader): void;
}

/** One reader's place in a read that it may share with others. */
export class Reader implements SnapshotReading {
  /** Of the next batch to take. */
  number = 0;
  /** Resolves once the snapshot was taken. */
  readonly taken: Promise<void>;
  readonly #host: ReaderHost;
  readonly #ending = new AbortController();
  /** Rejects when it is over. */
  readonly #over: Promise<never>;
  #since: Position = "";
  #onTaken: { readonly resolve: () => void; readonly reject: (reason: unknown) => void } | undefined;
  #wake: () => void = () => undefined;

  constructor(host: ReaderHost) {
    this.#host = host;
    this.taken = new Promise((resolve, reject) => {
      this.#onTaken = { resolve, reject };
    });
    this.taken.catch(() => undefined);
    const { signal } = this.#ending;
    this.#over = new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(reasonOf(signal)), { once: true });
    });
    this.#over.catch(() => undefined);
  }

  get since(): Position {
    return this.#since;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  begun(snapshot: Promise<Snapshot>): void {
    snapshot.then(
      ({ since }) => {
        this.#since = since;
        this.#onTaken?.resolve();
      },
      (error: unknown) => this.end(error),
    );
  }

  async next(): Promise<SnapshotBatch | undefined> {
    for (;;) {
      this.#ending.signal.throwIfAborted();
      const batch = this.#host.batchAt(this.number);
      if (batch === "none") return undefined;
      if (batch !== "pending") {
        this.number += 1;
        this.#host.moved(this);
        return batch;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async seam(): Promise<SnapshotSeam> {
    return Promise.race([this.#host.seam(), this.#over]);
  }

  close(): void {
    this.end(new Error("The snapshot is not needed any more."));
  }

  wake(): void {
    this.#wake();
  }

  end(reason: unknown): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort(reason);
    this.#onTaken?.reject(reason);
    this.#wake();
    this.#host.left(this);
  }
}

function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error("The snapshot is over.");
}
