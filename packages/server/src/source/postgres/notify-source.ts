import { randomBytes } from "node:crypto";
import { isSequencePosition, type Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import { PgListener } from "../../postgres/listener.ts";
import type {
  ChangeSink,
  ChangeSource,
  ChannelKey,
  CollectionInfo,
  Snapshot,
  SnapshotNarrowing,
  SourceState,
} from "../change-source.ts";
import { endInTime } from "../end-in-time.ts";
import { SNAPSHOT_DEFAULTS, type SnapshotSettings } from "../snapshot-settings.ts";
import { notLive } from "../source-errors.ts";
import {
  APPLICATION_NAME,
  LISTENER_APPLICATION_NAME,
  SNAPSHOT_APPLICATION_NAME,
} from "./application-names.ts";
import { Capturer } from "./capturer.ts";
import { CatalogFollower } from "./catalog-follower.ts";
import { Catalog } from "./catalog.ts";
import { ChannelWatcher } from "./channel-watcher.ts";
import { CONTROL_CHANNEL, PUBLISH_CHANNEL } from "./channels.ts";
import type { CollectionsConfig } from "./collections.ts";
import { SourceDatabase } from "./database.ts";
import { GrantedColumns } from "./granted-columns.ts";
import { justChanged } from "./just-changed.ts";
import { NotifyBarriers } from "./notify-barriers.ts";
import { NotifySnapshots } from "./notify-snapshots.ts";
import { openError } from "./open-error.ts";
import { Receiver, type TopicSink } from "./receiver.ts";
import { NOTIFY_DEFAULTS, type NotifySettings } from "./settings.ts";
import { SnapshotReader } from "./snapshot/snapshot-reader.ts";
import { emptyStats, type SourceStats } from "./stats.ts";
import { Watches } from "./watches.ts";

/** What a {@link PostgresNotifySource} is made of. */
export interface PostgresNotifySourceOptions {
  readonly name: string;
  /** A direct URL: LISTEN does not work through a transaction pooler. */
  readonly url: string;
  /** Without it, every table with a `tenant_id` column and a primary key is a collection. */
  readonly collections?: CollectionsConfig | undefined;
  readonly sink: ChangeSink;
  readonly topics: TopicSink;
  /** A child logger that names the source. */
  readonly log: Logger;
  readonly settings?: Partial<NotifySettings>;
  readonly snapshots?: Partial<SnapshotSettings> | undefined;
}

/** How old an answer about a name may be that is no collection: anybody can ask, as often as they like. */
const UNKNOWN_NAME_MAX_AGE_MS = 250;

/** Longer than the connections need, which are cut after a second. */
const CLOSE_TIMEOUT_MS = 1_500;

/**
 * Changes of a PostgreSQL database by triggers and NOTIFY. It needs no setting of
 * the server. NOTIFY has no history, so an outage of the connection resets everybody.
 */
export class PostgresNotifySource implements ChangeSource {
  readonly name: string;
  readonly hasColumns = true;
  readonly epoch: string = randomBytes(9).toString("base64url");
  readonly #options: PostgresNotifySourceOptions;
  readonly #settings: NotifySettings;
  readonly #stats = emptyStats();
  readonly #watches = new Watches();
  readonly #database: SourceDatabase;
  readonly #catalog: Catalog;
  readonly #capturer: Capturer;
  readonly #receiver: Receiver;
  readonly #listener: PgListener;
  readonly #watcher: ChannelWatcher;
  readonly #follower: CatalogFollower;
  readonly #barriers: NotifyBarriers;
  readonly #grantedColumns: GrantedColumns;
  readonly #snapshotReader: SnapshotReader;
  readonly #snapshots: NotifySnapshots;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  #opened = false;
  readonly #closing = new AbortController();
  /** Counts outages, so that a recovery that another outage overtook stops. */
  #outages = 0;

  constructor(options: PostgresNotifySourceOptions) {
    this.name = options.name;
    this.#options = options;
    const settings = Object.freeze({ ...NOTIFY_DEFAULTS, ...options.settings });
    this.#settings = settings;
    const { log, collections, sink, topics } = options;
    const database = new SourceDatabase(options.url, APPLICATION_NAME, settings, log);
    const catalog = new Catalog(database, collections);
    const capturer = new Capturer(catalog, database, settings, log, this.#closing.signal);
    const fetchOutbox = (id: string): Promise<string | undefined> => database.fetchOutboxMessage(id);
    const shared = { settings, log, stats: this.#stats, watches: this.#watches };
    this.#database = database;
    this.#catalog = catalog;
    this.#capturer = capturer;
    this.#grantedColumns = new GrantedColumns(database);
    this.#barriers = new NotifyBarriers((channel, payload) => database.notify(channel, payload));
    this.#receiver = new Receiver({ ...shared, sink, topics, fetchOutbox, barriers: this.#barriers });
    this.#snapshotReader = new SnapshotReader({
      source: options.name,
      url: options.url,
      applicationName: SNAPSHOT_APPLICATION_NAME,
      connectTimeoutMs: settings.connectTimeoutMs,
      encoding: () => database.encoding,
      maxDocumentBytes: settings.maxDocumentBytes,
      settings: { ...SNAPSHOT_DEFAULTS, ...options.snapshots },
      log,
    });
    this.#snapshots = new NotifySnapshots({
      reader: this.#snapshotReader,
      position: () => this.#receiver.position,
      passBarrier: () => this.#passBarrier(),
    });
    this.#listener = this.#createListener();
    this.#watcher = new ChannelWatcher({
      ...shared,
      source: options.name,
      capturer,
      grantedColumns: this.#grantedColumns,
      listener: this.#listener,
      began: () => {
        this.#receiver.advance();
      },
      passBarrier: () => this.#passBarrier(),
      filtered: (collection, columns) => {
        this.#receiver.filter(collection, columns);
      },
    });
    this.#follower = new CatalogFollower({
      ...shared,
      database,
      catalog,
      capturer,
      grantedColumns: this.#grantedColumns,
      isLive: () => this.#state.live,
      lost: (keys, reason) => {
        this.#receiver.lost(keys, reason);
      },
      dropped: (collection) => {
        this.#watcher.drop(collection);
        sink.dropped(collection.name, "collection_dropped");
      },
    });
  }

  /**
   * Connects, sets up schema `paperdb` and reads the catalog. Later outages are handled inside.
   *
   * @throws {RealtimeError} in one sentence: what is wrong with the URL, the database, its rights or `collections`.
   */
  async open(): Promise<void> {
    try {
      await this.#database.prepare();
      await this.#catalog.open();
      await this.#listener.open();
    } catch (error) {
      await this.close();
      throw openError(this.name, this.#options.url, error);
    }
    this.#opened = true;
    if (this.#listener.up) this.#state = { live: true };
    this.#follower.follow();
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  state(): SourceState {
    return this.#state;
  }

  /** What happened so far, for `/metrics`. */
  stats(): Readonly<SourceStats> {
    const { pendingBytes } = this.#receiver;
    return { ...this.#stats, pendingBytes, listenedChannels: this.#watches.size };
  }

  collections(): readonly CollectionInfo[] {
    return this.#catalog.infos;
  }

  async whyNotCollection(name: string): Promise<string | undefined> {
    if (this.#state.live) await this.#catalog.recent(UNKNOWN_NAME_MAX_AGE_MS);
    return this.#catalog.current.unusable.get(name);
  }

  isPosition(text: string): boolean {
    return isSequencePosition(text);
  }

  async watch(key: ChannelKey): Promise<Position> {
    this.#requireLive();
    await this.#watcher.watch(key);
    this.#requireLive();
    return this.#receiver.position;
  }

  unwatch(key: ChannelKey): void {
    this.#watcher.unwatch(key);
  }

  async needPrior(collection: string, grantedFields: ReadonlySet<string>): Promise<void> {
    this.#requireLive();
    await this.#watcher.filter(collection, grantedFields);
    this.#requireLive();
  }

  async snapshot(
    { tenant, collection }: ChannelKey,
    narrowing: SnapshotNarrowing | undefined,
    signal: AbortSignal,
  ): Promise<Snapshot> {
    this.#requireLive();
    const table = this.#catalog.current.tables.get(collection);
    if (table === undefined) throw justChanged(collection);
    const granted = narrowing?.granted?.fields ?? [];
    await this.#snapshotReader.explaining(this.#grantedColumns.require(table, granted));
    return this.#snapshots.take({ table, tenant, narrowing }, signal);
  }

  /** Ends within {@link CLOSE_TIMEOUT_MS}, whatever is under way and whether the database answers or not. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closing.abort();
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    this.#watches.clear();
    const ended = [
      this.#follower.close(),
      this.#capturer.settled(),
      this.#listener.close(),
      this.#snapshotReader.close(),
      this.#database.close(),
    ];
    await endInTime(CLOSE_TIMEOUT_MS, Promise.all(ended), this.#options.log);
  }

  #createListener(): PgListener {
    const { minReconnectMs, maxReconnectMs, connectTimeoutMs, probeIntervalMs, probeTimeoutMs } =
      this.#settings;
    return new PgListener({
      url: this.#options.url,
      applicationName: LISTENER_APPLICATION_NAME,
      log: this.#options.log,
      channels: [CONTROL_CHANNEL, PUBLISH_CHANNEL, this.#barriers.channel],
      onNotification: (channel, payload) => {
        this.#receiver.push(channel, payload);
      },
      onUp: () => void this.#up(),
      onDown: (reason) => {
        this.#down(reason);
      },
      minBackoffMs: minReconnectMs,
      maxBackoffMs: maxReconnectMs,
      connectTimeoutMs,
      probeIntervalMs,
      probeTimeoutMs,
    });
  }

  async #passBarrier(): Promise<Position> {
    // Else nobody would receive the barrier, nor ever say so.
    this.#requireLive();
    return this.#barriers.pass();
  }

  #requireLive(): void {
    if (!this.#state.live) throw notLive(this.name, this.#state);
  }

  #down(reason: string): void {
    if (this.#closed || !this.#opened) return;
    this.#outages += 1;
    if (this.#state.live) this.#options.log.warn({ reason }, "The source is not live any more");
    this.#state = { live: false, reason, retryAfterMs: this.#settings.maxReconnectMs };
    this.#receiver.clear();
    this.#database.reset();
  }

  /** After an outage: what was missed is unknown, so everybody is reset, once all is captured again. */
  async #up(): Promise<void> {
    if (!this.#opened) return;
    const outage = this.#outages;
    const stale = (): boolean => this.#closed || outage !== this.#outages;
    await this.#follower.recapture(stale);
    if (stale()) return;
    this.#state = { live: true };
    this.#receiver.recover("source_reconnected");
    this.#options.log.info("The source is live again");
  }
}
