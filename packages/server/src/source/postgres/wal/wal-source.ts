import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import { TimeLimitError, within } from "../../../timing/within.ts";
import type {
  ChangeSink,
  ChangeSource,
  ChannelKey,
  CollectionInfo,
  SourceState,
} from "../../change-source.ts";
import { Catalog } from "../catalog.ts";
import type { CollectionsConfig } from "../collections.ts";
import { DatabasePool } from "../database-pool.ts";
import { justChanged } from "../just-changed.ts";
import { openError } from "../open-error.ts";
import { ensurePublishFunction } from "../publish-function.ts";
import type { TopicSink } from "../receiver.ts";
import { Barriers } from "./barriers.ts";
import { ChangeReceiver } from "./change-receiver.ts";
import { Enroller } from "./enroller.ts";
import { Publication } from "./publication.ts";
import { requireWal } from "./requirements.ts";
import { WAL_MIGRATIONS, WAL_PUBLISH, WAL_SCHEMA_SET } from "./schema.ts";
import { WAL_DEFAULTS } from "./settings.ts";
import type { WalSettings } from "./settings.ts";
import { fetchDefaultSlotName, SlotKeeper } from "./slot.ts";
import type { ReadySlot } from "./slot.ts";
import { SlotWatch } from "./slot-watch.ts";
import { emptyWalStats } from "./stats.ts";
import type { WalStats } from "./stats.ts";
import { StreamPlace } from "./stream-place.ts";
import { StreamReader } from "./stream-reader.ts";
import { TypeCatalog } from "./type-catalog.ts";
import { WalCapturer } from "./wal-capturer.ts";
import { WalCatalogFollower } from "./wal-catalog-follower.ts";
import { WalStream } from "./wal-stream.ts";
import { WalWatches } from "./wal-watches.ts";

/** What a {@link PostgresWalSource} is made of. */
export interface PostgresWalSourceOptions {
  readonly name: string;
  /** A direct URL: replication does not work through a pooler. */
  readonly url: string;
  /** The replication slot's and the publication's name. Default: `paperdb_` and the database's oid. */
  readonly slot?: string | undefined;
  /** Without it, every table with a `tenant_id` column and a primary key is a collection. */
  readonly collections?: CollectionsConfig | undefined;
  readonly sink: ChangeSink;
  readonly topics: TopicSink;
  /** A child logger that names the source. */
  readonly log: Logger;
  readonly settings?: Partial<WalSettings>;
}

/** How old an answer about a name may be that is no collection: anybody can ask, as often as they like. */
const UNKNOWN_NAME_MAX_AGE_MS = 250;

/** Longer than the connections need, which are cut after a second. */
const CLOSE_TIMEOUT_MS = 2_500;

/** How long a start waits for the source to be live, before it goes on without. */
const OPEN_WAIT_MS = 3_000;

const APPLICATION_NAME = "paperdb-realtime";

/** What the replication connection of a running server is called in `pg_stat_replication`. */
export const STREAM_APPLICATION_NAME: string = `${APPLICATION_NAME} stream`;

/**
 * Changes of a PostgreSQL database from its write-ahead log, by logical replication. The
 * slot keeps what is missed while the connection is down, so an outage resets nobody.
 */
export class PostgresWalSource implements ChangeSource {
  readonly name: string;
  readonly #options: PostgresWalSourceOptions;
  readonly #settings: WalSettings;
  readonly #stats = emptyWalStats();
  readonly #watches = new WalWatches();
  readonly #place = new StreamPlace();
  readonly #closing = new AbortController();
  readonly #database: DatabasePool;
  readonly #catalog: Catalog;
  readonly #barriers: Barriers;
  readonly #types: TypeCatalog;
  readonly #receiver: ChangeReceiver;
  #parts: Parts | undefined;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  #epoch = "0";
  #generation: number | undefined;
  /** What was received until now is void: all are reset once the stream is live. */
  #lostReason: string | undefined;
  /** All that was committed before the start was read: what was published then is not published again. */
  #caughtUp = false;
  #onSettled: () => void = () => undefined;

  constructor(options: PostgresWalSourceOptions) {
    this.name = options.name;
    this.#options = options;
    const settings = Object.freeze({ ...WAL_DEFAULTS, ...options.settings });
    this.#settings = settings;
    const { url, log, collections, sink } = options;
    const { connectTimeoutMs } = settings;
    const database = new DatabasePool({ url, applicationName: APPLICATION_NAME, connectTimeoutMs, log });
    this.#database = database;
    this.#catalog = new Catalog(database, collections);
    this.#barriers = new Barriers(database);
    this.#types = new TypeCatalog(database);
    this.#receiver = new ChangeReceiver({
      sink,
      log,
      settings,
      watches: this.#watches,
      types: this.#types,
      place: this.#place,
      stats: this.#stats,
      fetchPartitionRoot: (oid) => fetchPartitionRoot(database, oid),
    });
  }

  /** Known once the source is live. */
  get epoch(): string {
    return this.#epoch;
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /**
   * Checks what the mode needs, sets up schema `paperdb`, the publication and the slot, and begins to stream. It
   * does not wait long for a slot that cannot be had yet: the state says why. Later outages are handled inside.
   *
   * @throws {RealtimeError} in one sentence: what is wrong with the URL, the database, its rights or `collections`.
   */
  async open(): Promise<void> {
    try {
      await this.#prepare();
    } catch (error) {
      await this.close();
      throw openError(this.name, this.#options.url, error);
    }
    const settled = new Promise<void>((resolve) => {
      this.#onSettled = resolve;
    });
    this.#parts?.stream.start();
    this.#parts?.follower.follow();
    try {
      await within(OPEN_WAIT_MS, settled, this.#closing.signal);
    } catch (error) {
      if (!(error instanceof TimeLimitError)) throw error;
    }
  }

  state(): SourceState {
    return this.#state;
  }

  /** What happened so far, for `/metrics`. */
  stats(): Readonly<WalStats> {
    return { ...this.#stats, watchedChannels: this.#watches.size };
  }

  collections(): readonly CollectionInfo[] {
    return this.#catalog.infos;
  }

  async whyNotCollection(name: string): Promise<string | undefined> {
    if (this.#state.live) await this.#catalog.recent(UNKNOWN_NAME_MAX_AGE_MS);
    return this.#catalog.current.unusable.get(name);
  }

  async watch(key: ChannelKey): Promise<Position> {
    const { capturer } = this.#requireLive();
    let table;
    try {
      table = await within(this.#settings.enrollTimeoutMs * 2, capturer.capture(key.collection));
    } catch (error) {
      throw this.#explain(error);
    }
    this.#requireLive();
    if (!this.#catalog.current.tables.has(key.collection)) throw justChanged(key.collection);
    if (!this.#watches.has(key) && this.#watches.size >= this.#settings.maxWatchedChannels) {
      throw this.#full();
    }
    this.#watches.add(key, table);
    return this.#place.position;
  }

  unwatch(key: ChannelKey): void {
    this.#watches.remove(key);
  }

  /** Ends within {@link CLOSE_TIMEOUT_MS}, whatever is under way and whether the database answers or not. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    const parts = this.#parts;
    this.#watches.clear();
    this.#barriers.fail(new Error("The source is closing."));
    try {
      await within(CLOSE_TIMEOUT_MS, this.#end(parts));
    } catch (error) {
      if (!(error instanceof TimeLimitError)) throw error;
      this.#options.log.warn("The source did not end in time, and is left behind");
    }
    this.#closing.abort();
  }

  async #end(parts: Parts | undefined): Promise<void> {
    // What was processed is told first; then everything that is under way is given up.
    await parts?.stream.close();
    this.#closing.abort();
    await Promise.all([
      parts?.stream.stopped(),
      parts?.follower.close(),
      parts?.capturer.settled(),
      this.#database.close(),
    ]);
  }

  async #prepare(): Promise<void> {
    const { url, log, slot, sink } = this.#options;
    const settings = this.#settings;
    const { signal } = this.#closing;
    const database = this.#database;
    const catalog = this.#catalog;
    const barriers = this.#barriers;
    await database.inspect();
    const name = slot ?? (await fetchDefaultSlotName(database));
    const publication = new Publication(name, database);
    await requireWal(database, name, settings);
    await database.migrate(WAL_SCHEMA_SET, WAL_MIGRATIONS);
    await database.use((client) => ensurePublishFunction(client, WAL_PUBLISH));
    await catalog.open();
    await publication.ensure();
    const slots = new SlotKeeper(name, database, settings, log);
    const enroller = new Enroller({ database, publication, settings, log, signal });
    const capturer = new WalCapturer({
      database,
      catalog,
      publication,
      enroller,
      barriers,
      types: this.#types,
    });
    const slotWatch = new SlotWatch(slots, settings, this.#stats, log, (detail) => this.#setDetail(detail));
    const follower = new WalCatalogFollower({
      catalog,
      publication,
      enroller,
      capturer,
      barriers,
      settings,
      log,
      types: this.#types,
      watches: this.#watches,
      isLive: () => this.#state.live,
      housekeep: () => slotWatch.look(),
      lost: (keys, reason) => this.#receiver.lost(keys, reason),
      dropped: (collection) => {
        this.#watches.drop(collection);
        sink.dropped(collection.name, "collection_dropped");
      },
    });
    const stream = new WalStream({
      url,
      slots,
      settings,
      log,
      signal,
      applicationName: STREAM_APPLICATION_NAME,
      publication: name,
      prepare: async () => {
        await publication.ensure();
      },
      onSlot: (found) => {
        this.#begin(found);
        return { from: this.#place.processedLsn, handler: this.#createReader() };
      },
      onStreaming: () => this.#catchUp(),
      onDown: (reason, expected) => this.#down(reason, expected),
    });
    this.#parts = { stream, follower, capturer };
  }

  #createReader(): StreamReader {
    return new StreamReader({
      place: this.#place,
      receiver: this.#receiver,
      barriers: this.#barriers,
      topics: this.#options.topics,
      stats: this.#stats,
      log: this.#options.log,
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
        this.#stats.slotsLost += 1;
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
    this.#setWaiting("The source reads what was committed meanwhile.", this.#settings.minReconnectMs);
    this.#parts?.capturer.forgetAll();
    await this.#barriers.pass();
    await this.#parts?.follower.reconcile();
    if (this.#closed) return;
    this.#state = { live: true };
    const reason = this.#lostReason;
    this.#lostReason = undefined;
    if (reason !== undefined) {
      this.#receiver.lost("all", reason);
      this.#options.topics.lost?.(reason);
    }
    this.#options.log.info("The source is live");
    this.#onSettled();
  }

  #down(reason: string, expected: boolean): void {
    if (this.#closed) return;
    if (this.#state.live) this.#options.log.warn({ reason }, "The source is not live any more");
    this.#setWaiting(reason, expected ? this.#settings.slotRetryMs : this.#settings.maxReconnectMs);
    this.#barriers.fail(new Error(reason));
    if (expected) this.#onSettled();
    else this.#database.reset();
  }

  #setWaiting(reason: string, retryAfterMs: number): void {
    if (!this.#closed) this.#state = { live: false, reason, retryAfterMs };
  }

  #setDetail(detail: string | undefined): void {
    if (!this.#state.live) return;
    this.#state = detail === undefined ? { live: true } : { live: true, detail };
  }

  #requireLive(): Parts {
    if (this.#state.live && this.#parts !== undefined) return this.#parts;
    const { reason, retryAfterMs } = this.#state.live
      ? { reason: "it is starting", retryAfterMs: 1_000 }
      : this.#state;
    throw new RealtimeError("source_unavailable", `The source "${this.name}" is not live: ${reason}`, {
      retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1_000)),
    });
  }

  #explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#options.log.warn({ reason: String(error) }, "Cannot watch a channel");
    return new RealtimeError(
      "source_unavailable",
      `The source "${this.name}" cannot be asked at the moment: try again.`,
      { cause: error, retryAfterSeconds: 1 },
    );
  }

  #full(): RealtimeError {
    return new RealtimeError(
      "source_unavailable",
      `The source "${this.name}" watches ${String(this.#settings.maxWatchedChannels)} channels already: raise wal.maxWatchedChannels.`,
      { retryAfterSeconds: 30 },
    );
  }
}

/** What is made once the slot's name is known. */
interface Parts {
  readonly stream: WalStream;
  readonly follower: WalCatalogFollower;
  readonly capturer: WalCapturer;
}

async function fetchPartitionRoot(database: DatabasePool, oid: number): Promise<number | undefined> {
  const result = await database.pool.query<{ root: string | null }>(
    "select pg_catalog.pg_partition_root($1::oid)::oid::pg_catalog.int8 as root",
    [oid],
  );
  const root = Number(result.rows[0]?.root ?? oid);
  return root === oid ? undefined : root;
}
