import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, ChannelKey, SourceEvent, SourceState } from "../../change-source.ts";
import type { Catalog } from "../catalog.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { GrantedColumns } from "../granted-columns.ts";
import type { TopicSink } from "../receiver.ts";
import type { SnapshotReader } from "../snapshot/snapshot-reader.ts";
import { fetchVisibility } from "../snapshot/visibility.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import { AcknowledgementRecord } from "./acknowledgement-record.ts";
import { STREAM_APPLICATION_NAME } from "./application-names.ts";
import { Barriers } from "./barriers.ts";
import { ChangeReceiver } from "./change-receiver.ts";
import { Enroller } from "./enroller.ts";
import { FollowedTables } from "./followed-tables.ts";
import { fetchPartitionRoot } from "./partition-root.ts";
import { Journal } from "./journal.ts";
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
import { untilVisible } from "./until-visible.ts";
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
  readonly grantedColumns: GrantedColumns;
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

/** Keeps changes coming from a database that was checked and set up, and knows whether they do. */
export class WalRunner {
  readonly capturer: WalCapturer;
  readonly snapshots: WalSnapshots;
  readonly #options: WalRunnerOptions;
  readonly #place = new StreamPlace();
  readonly #journal: Journal;
  readonly #acknowledgement: Acknowledgement;
  readonly #tables: FollowedTables;
  readonly #barriers: Barriers;
  readonly #commits: RecentCommits;
  readonly #receiver: ChangeReceiver;
  readonly #follower: WalCatalogFollower;
  readonly #slotWatch: SlotWatch;
  readonly #stream: WalStream;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  #epoch = "0";
  #generation: number | undefined;
  /** What was received until now is void: all are reset once the stream is live. */
  #lostReason: string | undefined;
  /** All that was committed before the start was read: what was published then is not published again. */
  #caughtUp = false;
  /** Whoever subscribed to topics before it was live for the first time has missed what was published. */
  #isAwaited = false;
  #onLive: () => void = () => undefined;

  constructor(options: WalRunnerOptions) {
    this.#options = options;
    const { database, catalog, publication, watches, settings, stats, log, signal, sink } = options;
    const barriers = new Barriers(database);
    const types = new TypeCatalog(database);
    const enroller = new Enroller({ database, publication, settings, log, signal });
    const shared = { database, catalog, publication, enroller, barriers, types, watches, settings, log };
    const slots = new SlotKeeper(publication.name, database, settings, log);
    this.#slotWatch = new SlotWatch({
      slots,
      settings,
      stats,
      log,
      events: {
        detail: (detail) => {
          this.#setDetail(detail);
        },
        bounded: (bytes) => {
          this.#acknowledgement.limitLogBytes(bytes);
        },
      },
    });
    this.#journal = new Journal(settings);
    this.#acknowledgement = new Acknowledgement(settings);
    this.#tables = new FollowedTables({ ...shared, position: () => this.#place.position });
    this.#barriers = barriers;
    this.#receiver = new ChangeReceiver({
      ...shared,
      sink,
      stats,
      place: this.#place,
      journal: this.#journal,
      isCaughtUp: () => this.#caughtUp,
      untilVisible: (transaction) =>
        untilVisible(transaction, () => fetchVisibility(database.pool), settings.enrollTimeoutMs, signal),
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
    this.capturer = new WalCapturer({
      ...shared,
      captured: (table, enrollment) => this.#tables.follow(table, enrollment),
    });
    this.#follower = new WalCatalogFollower({
      ...shared,
      grantedColumns: options.grantedColumns,
      capturer: this.capturer,
      isLive: () => this.#state.live,
      lost: async (collection, reason) => {
        this.#receiver.lost(collection, reason);
        await this.#tables.renew(collection);
      },
      released: (collection) => this.#tables.release(collection),
      dropped: (collection) => {
        sink.dropped(collection, "collection_dropped");
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
    void this.#receiver.flush();
    return this.#place.position;
  }

  /** See {@link ChangeSource.replay}. */
  replay(key: ChannelKey, since: Position, until: Position): readonly SourceEvent[] | undefined {
    const collection = this.#options.watches.get(key.collection);
    if (collection === undefined || since < collection.since) return undefined;
    return this.#journal.replay(key, since, until);
  }

  /** Begins. @returns once it is live for the first time. */
  async start(): Promise<void> {
    const live = new Promise<void>((resolve) => {
      this.#onLive = resolve;
    });
    this.#stream.start();
    this.#follower.follow();
    this.#slotWatch.follow();
    await live;
  }

  /** The start is not waited for any longer: there may be subscribers before it is live. */
  goWithout(): void {
    this.#isAwaited = !this.#state.live;
  }

  /** Tells the database what was processed, and ends the stream; who waits for it is told. */
  async end(): Promise<void> {
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    this.#barriers.fail(new Error("The source is closing."));
    await this.#stream.close();
  }

  /** Resolves once nothing goes on any more, after the signal. */
  async ended(): Promise<void> {
    const loops = [this.#stream.stopped(), this.#follower.close(), this.#slotWatch.close()];
    await Promise.all([...loops, this.capturer.settled()]);
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
      reachedLsn: () => this.#place.processedLsn,
      onSlot: async (slot) => {
        if (this.#begin(slot)) await this.#tables.restore();
        const { confirmedLsn, clockAheadMs } = slot;
        const acknowledgement = new AcknowledgementRecord(this.#acknowledgement, slots, log, confirmedLsn);
        const handler = this.#createReader(acknowledgement, clockAheadMs);
        return { from: this.#place.processedLsn, handler };
      },
      onStreaming: () => this.#catchUp(),
      onDown: (reason, expected) => {
        this.#down(reason, expected);
      },
    });
  }

  #createReader(acknowledgement: AcknowledgementRecord, clockAheadMs: number): StreamReader {
    const { topics, stats, log } = this.#options;
    return new StreamReader({
      place: this.#place,
      receiver: this.#receiver,
      barriers: this.#barriers,
      commits: this.#commits,
      journal: this.#journal,
      acknowledgement,
      clockAheadMs,
      topics,
      stats,
      log,
      isCaughtUp: () => this.#caughtUp,
      mayPublish: () => this.#caughtUp && this.#lostReason === undefined && !this.#isAwaited,
      onBarrier: () => {
        this.#caughtUp = true;
      },
    });
  }

  /**
   * The stream is about to run from this slot.
   *
   * @returns whether it does not simply go on where it was.
   */
  #begin({ generation, systemId, timeline, confirmedLsn, isLost }: ReadySlot): boolean {
    const place = this.#place;
    place.interrupt();
    const goesOn = generation === this.#generation && confirmedLsn <= place.processedLsn;
    if (generation !== this.#generation) {
      const isAnother = this.#generation !== undefined;
      if (isAnother) this.#lostReason = "slot_lost";
      if (isAnother || isLost) this.#options.stats.slotsLost += 1;
      this.#generation = generation;
      place.restart(generation);
      this.#acknowledgement.restart();
    } else if (!goesOn) {
      // Another server has had the slot meanwhile, for longer than its history.
      this.#lostReason = "source_reconnected";
    }
    place.advance(confirmedLsn);
    this.#acknowledgement.begin(confirmedLsn);
    if (!goesOn) this.#journal.restart(place.position);
    if (this.#lostReason !== undefined) this.#receiver.interrupt();
    const history = `${systemId}-${String(timeline)}-`;
    if (!this.#epoch.startsWith(history)) this.#commits.clear();
    this.#epoch = `${history}${String(generation)}`;
    return !goesOn;
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
    if (reason !== undefined) this.#receiver.recover(reason);
    if (reason !== undefined || this.#isAwaited) topics.lost?.(reason ?? "source_reconnected");
    this.#isAwaited = false;
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
