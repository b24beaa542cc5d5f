import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, SourceState } from "../../change-source.ts";
import type { Catalog } from "../catalog.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { TopicSink } from "../receiver.ts";
import type { SnapshotReader } from "../snapshot/snapshot-reader.ts";
import { fetchVisibility } from "../snapshot/visibility.ts";
import { Barriers } from "./barriers.ts";
import { ChangeReceiver } from "./change-receiver.ts";
import { Enroller } from "./enroller.ts";
import { fetchPartitionRoot } from "./partition-root.ts";
import type { Publication } from "./publication.ts";
import { RecentCommits } from "./recent-commits.ts";
import type { WalSettings } from "./settings.ts";
import { SlotKeeper } from "./slot.ts";
import type { ReadySlot } from "./slot.ts";
import { SlotWatch } from "./slot-watch.ts";
import type { WalStats } from "./stats.ts";
import { StreamPlace } from "./stream-place.ts";
import { StreamReader } from "./stream-reader.ts";
import { TypeCatalog } from "./type-catalog.ts";
import { WalCapturer } from "./wal-capturer.ts";
import { WalCatalogFollower } from "./wal-catalog-follower.ts";
import { WalSnapshots } from "./wal-snapshots.ts";
import { WalStream } from "./wal-stream.ts";
import type { WalWatches } from "./wal-watches.ts";

/** What a {@link WalRunner} works with. */
export interface WalRunnerOptions {
  readonly url: string;
  readonly database: DatabasePool;
  readonly catalog: Catalog;
  readonly publication: Publication;
  readonly snapshotReader: SnapshotReader;
  readonly watches: WalWatches;
  readonly sink: ChangeSink;
  readonly topics: TopicSink;
  readonly settings: WalSettings;
  readonly stats: WalStats;
  readonly log: Logger;
  /** Gives everything up. */
  readonly signal: AbortSignal;
}

/** What the replication connection of a running server is called in `pg_stat_replication`. */
const STREAM_APPLICATION_NAME = "paperdb-realtime stream";

/** Keeps changes coming from a database that was checked and set up, and knows whether they do. */
export class WalRunner {
  readonly capturer: WalCapturer;
  readonly snapshots: WalSnapshots;
  readonly #options: WalRunnerOptions;
  readonly #place = new StreamPlace();
  readonly #barriers: Barriers;
  readonly #commits: RecentCommits;
  readonly #receiver: ChangeReceiver;
  readonly #follower: WalCatalogFollower;
  readonly #stream: WalStream;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  #epoch = "0";
  #generation: number | undefined;
  /** What was received until now is void: all are reset once the stream is live. */
  #lostReason: string | undefined;
  /** All that was committed before the start was read: what was published then is not published again. */
  #caughtUp = false;
  #onLive: () => void = () => undefined;

  constructor(options: WalRunnerOptions) {
    this.#options = options;
    const { database, catalog, publication, watches, settings, stats, log, signal, sink } = options;
    const barriers = new Barriers(database);
    const types = new TypeCatalog(database);
    const enroller = new Enroller({ database, publication, settings, log, signal });
    const shared = { database, catalog, publication, enroller, barriers, types, watches, settings, log };
    const slots = new SlotKeeper(publication.name, database, settings, log);
    const slotWatch = new SlotWatch(slots, settings, stats, log, (detail) => {
      this.#setDetail(detail);
    });
    this.#barriers = barriers;
    this.#receiver = new ChangeReceiver({
      ...shared,
      sink,
      stats,
      place: this.#place,
      fetchPartitionRoot: (oid) => fetchPartitionRoot(database, oid),
    });
    this.#commits = new RecentCommits(() => fetchVisibility(database.pool));
    this.snapshots = new WalSnapshots({
      barriers,
      reader: options.snapshotReader,
      place: this.#place,
      commits: this.#commits,
      receiver: this.#receiver,
    });
    this.capturer = new WalCapturer(shared);
    this.#follower = new WalCatalogFollower({
      ...shared,
      capturer: this.capturer,
      isLive: () => this.#state.live,
      housekeep: () => slotWatch.look(),
      lost: (keys, reason) => {
        this.#receiver.lost(keys, reason);
      },
      dropped: (collection) => {
        watches.drop(collection);
        sink.dropped(collection.name, "collection_dropped");
      },
    });
    this.#stream = this.#createStream(slots);
  }

  get state(): SourceState {
    return this.#state;
  }

  /** Known once it is live. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Where a channel stands that has received everything until now. */
  get position(): Position {
    return this.#place.position;
  }

  /** Begins. @returns once it is live for the first time. */
  async start(): Promise<void> {
    const live = new Promise<void>((resolve) => {
      this.#onLive = resolve;
    });
    this.#stream.start();
    this.#follower.follow();
    await live;
  }

  /** Tells the database what was processed, and ends the stream; who waits for it is told. */
  async end(): Promise<void> {
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    this.#barriers.fail(new Error("The source is closing."));
    await this.#stream.close();
  }

  /** Resolves once nothing goes on any more, after the signal. */
  async ended(): Promise<void> {
    await Promise.all([this.#stream.stopped(), this.#follower.close(), this.capturer.settled()]);
  }

  #createStream(slots: SlotKeeper): WalStream {
    const { url, publication, settings, log, signal } = this.#options;
    return new WalStream({
      url,
      slots,
      settings,
      log,
      signal,
      applicationName: STREAM_APPLICATION_NAME,
      publication: publication.name,
      prepare: async () => {
        await publication.ensure();
      },
      onSlot: (slot) => {
        this.#begin(slot);
        return { from: this.#place.processedLsn, handler: this.#createReader() };
      },
      onStreaming: () => this.#catchUp(),
      onDown: (reason, expected) => {
        this.#down(reason, expected);
      },
    });
  }

  #createReader(): StreamReader {
    const { topics, stats, log } = this.#options;
    return new StreamReader({
      place: this.#place,
      receiver: this.#receiver,
      barriers: this.#barriers,
      commits: this.#commits,
      topics,
      stats,
      log,
      isCaughtUp: () => this.#caughtUp,
      onBarrier: () => {
        this.#caughtUp = true;
      },
    });
  }

  /** The stream is about to run from this slot. */
  #begin({ generation, systemId, timeline, confirmedLsn }: ReadySlot): void {
    this.#place.interrupt();
    if (generation !== this.#generation) {
      if (this.#generation !== undefined) {
        this.#lostReason = "slot_lost";
        this.#options.stats.slotsLost += 1;
      }
      this.#generation = generation;
      this.#place.restart(generation);
    } else if (confirmedLsn > this.#place.processedLsn) {
      // Another server has had the slot meanwhile.
      this.#lostReason = "source_reconnected";
    }
    this.#place.advance(confirmedLsn);
    this.#epoch = `${systemId}-${String(timeline)}-${String(generation)}`;
  }

  /** Live is who has read all that was committed before; the catalog may have changed meanwhile. */
  async #catchUp(): Promise<void> {
    const { log, settings, signal, topics } = this.#options;
    this.#setWaiting("The source reads what was committed meanwhile.", settings.minReconnectMs);
    this.capturer.forgetAll();
    await this.#barriers.pass();
    await this.#follower.reconcile();
    if (signal.aborted) return;
    this.#state = { live: true };
    const reason = this.#lostReason;
    this.#lostReason = undefined;
    if (reason !== undefined) {
      this.#receiver.lost("all", reason);
      topics.lost?.(reason);
    }
    log.info("The source is live");
    this.#onLive();
  }

  #down(reason: string, expected: boolean): void {
    const { log, settings, database } = this.#options;
    if (this.#state.live) log.warn({ reason }, "The source is not live any more");
    this.#setWaiting(reason, expected ? settings.slotRetryMs : settings.maxReconnectMs);
    this.#barriers.fail(new Error(reason));
    if (!expected) database.reset();
  }

  #setWaiting(reason: string, retryAfterMs: number): void {
    this.#state = { live: false, reason, retryAfterMs };
  }

  #setDetail(detail: string | undefined): void {
    if (!this.#state.live) return;
    this.#state = detail === undefined ? { live: true } : { live: true, detail };
  }
}
