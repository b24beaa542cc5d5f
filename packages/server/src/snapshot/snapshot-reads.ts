import type { Position } from "@paperdb/protocol";
import { channelId } from "../source/change-source.ts";
import type { ChangeSource, ChannelKey, SnapshotNarrowing } from "../source/change-source.ts";
import { SharedRead } from "./shared-read.ts";
import { SNAPSHOT_READS_DEFAULTS } from "./snapshot-reads-settings.ts";
import type { SnapshotReadsSettings } from "./snapshot-reads-settings.ts";
import type { SnapshotReading } from "./snapshot-reading.ts";

/** What is asked for. */
export interface SnapshotReadRequest {
  readonly source: ChangeSource;
  readonly key: ChannelKey;
  readonly narrowing: SnapshotNarrowing | undefined;
  /** One that was taken, and whose `since` is before this, is too old to be shared. */
  readonly notBefore?: Position | undefined;
  /** Not to be shared: the one who asks has held up others before. */
  readonly alone?: boolean;
}

interface Running {
  readonly source: ChangeSource;
  readonly tenant: string;
  readonly read: SharedRead;
}

/**
 * Reads snapshots, a few at a time. Those that ask for the same one within a moment share it.
 */
export class SnapshotReads {
  readonly #settings: SnapshotReadsSettings;
  readonly #shareable = new Map<string, SharedRead>();
  readonly #running = new Set<Running>();
  #waiting: Running[] = [];
  #bufferedBytes = 0;

  constructor(settings: Partial<SnapshotReadsSettings> = {}) {
    this.#settings = { ...SNAPSHOT_READS_DEFAULTS, ...settings };
  }

  /** Bytes that were read, and not yet taken by all that share them. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Snapshots that are being read, or wait for their turn. */
  get size(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Resolves once the snapshot was taken. Rejects with what the source throws, or the signal's reason. */
  async open(request: SnapshotReadRequest, signal?: AbortSignal): Promise<SnapshotReading> {
    signal?.throwIfAborted();
    const reader = this.#find(request).join();
    const abandon = (): void => reader.end(signal?.reason);
    signal?.addEventListener("abort", abandon, { once: true });
    this.#beginNext();
    try {
      await reader.taken;
      return reader;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  #find(request: SnapshotReadRequest): SharedRead {
    const { source, key, narrowing, notBefore = "", alone = false } = request;
    if (alone) return this.#create(request, undefined);
    const id = `${source.name}\0${channelId(key)}\0${narrowing?.id ?? ""}`;
    const existing = this.#shareable.get(id);
    if (existing?.isWhole === true && (existing.since ?? notBefore) >= notBefore) return existing;
    if (existing !== undefined) this.#unshare(id, existing);
    const read = this.#create(request, id);
    this.#shareable.set(id, read);
    return read;
  }

  /** @param id - of one that can be shared. */
  #create({ source, key, narrowing }: SnapshotReadRequest, id: string | undefined): SharedRead {
    const { maxBufferedBytes, maxConcurrent, timeoutMs, lagMs } = this.#settings;
    const read: SharedRead = new SharedRead(
      async (signal) => {
        // It is as of now: those that ask within a moment can have it.
        if (id !== undefined) this.#unshareLater(id, read);
        const snapshot = await source.snapshot?.(key, narrowing, signal);
        if (snapshot === undefined) throw new Error(`The source "${source.name}" has no snapshots.`);
        return snapshot;
      },
      { windowBytes: maxBufferedBytes / (2 * maxConcurrent), timeoutMs, lagMs },
      {
        buffered: (bytes) => {
          this.#bufferedBytes += bytes;
          if (bytes < 0) this.#beginNext();
        },
        done: () => {
          if (id !== undefined && !read.isWhole) this.#unshare(id, read);
          this.#running.delete(running);
          this.#waiting = this.#waiting.filter((waiting) => waiting !== running);
          this.#beginNext();
        },
      },
      id !== undefined,
    );
    const running: Running = { source, tenant: key.tenant, read };
    this.#waiting.push(running);
    return read;
  }

  #unshareLater(id: string, read: SharedRead): void {
    const { shareMs } = this.#settings;
    if (shareMs === 0) this.#unshare(id, read);
    else setTimeout(() => this.#unshare(id, read), shareMs).unref();
  }

  #unshare(id: string, read: SharedRead): void {
    if (this.#shareable.get(id) === read) this.#shareable.delete(id);
    read.closeToOthers();
  }

  #beginNext(): void {
    for (const waiting of this.#waiting) {
      if (this.#bufferedBytes >= this.#settings.maxBufferedBytes) return;
      if (!this.#hasTurn(waiting)) continue;
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      this.#running.add(waiting);
      waiting.read.begin();
    }
  }

  #hasTurn({ source, tenant }: Running): boolean {
    const { maxConcurrent } = this.#settings;
    const ofSource = [...this.#running].filter((running) => running.source === source);
    const ofTenant = ofSource.filter((running) => running.tenant === tenant);
    return ofSource.length < maxConcurrent && ofTenant.length < Math.ceil(maxConcurrent / 2);
  }
}
