import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import { TimeLimitError, within } from "../../../timing/within.ts";
import type {
  ChangeSink,
  ChangeSource,
  ChannelKey,
  CollectionInfo,
  Snapshot,
  SnapshotNarrowing,
  SourceEvent,
  SourceState,
} from "../../change-source.ts";
import { endInTime } from "../../end-in-time.ts";
import { SNAPSHOT_DEFAULTS } from "../../snapshot-settings.ts";
import type { SnapshotSettings } from "../../snapshot-settings.ts";
import { cannotBeAsked, notLive } from "../../source-errors.ts";
import { SNAPSHOT_APPLICATION_NAME, WAL_APPLICATION_NAME } from "../application-names.ts";
import { Catalog } from "../catalog.ts";
import type { CollectionsConfig } from "../collections.ts";
import { DatabasePool } from "../database-pool.ts";
import { GrantedColumns } from "../granted-columns.ts";
import { justChanged } from "../just-changed.ts";
import { openError } from "../open-error.ts";
import type { TopicSink } from "../receiver.ts";
import { SnapshotReader } from "../snapshot/snapshot-reader.ts";
import { prepareWal } from "./prepare-wal.ts";
import { WAL_DEFAULTS } from "./settings.ts";
import type { WalSettings } from "./settings.ts";
import { isStreamPosition } from "./stream-place.ts";
import { emptyWalStats } from "./stats.ts";
import type { WalStats } from "./stats.ts";
import type { CapturedTable } from "../table.ts";
import { WalRunner } from "./wal-runner.ts";
import { watchesTooMany, WalWatches } from "./wal-watches.ts";

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
  readonly snapshots?: Partial<SnapshotSettings> | undefined;
}

/** How old an answer about a name may be that is no collection: anybody can ask, as often as they like. */
const UNKNOWN_NAME_MAX_AGE_MS = 250;

/** An attempt that began in time may take longer. */
const LAST_ATTEMPT_MS = 2_000;

/** Longer than the connections need, which are cut after a second. */
const CLOSE_TIMEOUT_MS = 2_500;

const STARTING = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 } as const;
const ENDING = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 } as const;

/**
 * Changes of a PostgreSQL database from its write-ahead log, by logical replication. The
 * slot keeps what is missed while the connection is down, so an outage resets nobody.
 */
export class PostgresWalSource implements ChangeSource {
  readonly name: string;
  readonly hasColumns = true;
  readonly #options: PostgresWalSourceOptions;
  readonly #settings: WalSettings;
  readonly #stats = emptyWalStats();
  readonly #watches = new WalWatches();
  readonly #closing = new AbortController();
  readonly #database: DatabasePool;
  readonly #catalog: Catalog;
  readonly #grantedColumns: GrantedColumns;
  readonly #snapshots: SnapshotReader;
  /** Undefined until the database is set up. */
  #runner: WalRunner | undefined;
  #isClosing = false;

  constructor(options: PostgresWalSourceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#settings = Object.freeze(withinLag({ ...WAL_DEFAULTS, ...options.settings }));
    const { url, log, collections } = options;
    const { connectTimeoutMs } = this.#settings;
    this.#database = new DatabasePool({ url, applicationName: WAL_APPLICATION_NAME, connectTimeoutMs, log });
    this.#catalog = new Catalog(this.#database, collections);
    this.#grantedColumns = new GrantedColumns(this.#database);
    this.#snapshots = new SnapshotReader({
      source: options.name,
      url,
      applicationName: SNAPSHOT_APPLICATION_NAME,
      connectTimeoutMs,
      encoding: () => this.#database.encoding,
      maxDocumentBytes: this.#settings.maxDocumentBytes,
      settings: { ...SNAPSHOT_DEFAULTS, ...options.snapshots },
      log,
    });
  }

  /** Known once the source is live. */
  get epoch(): string {
    return this.#runner?.epoch ?? "0";
  }

  /**
   * Checks what the mode needs, sets up schema `paperdb`, the publication and the slot, and begins to stream. It
   * does not wait long for a slot that cannot be had yet: the state says why. Later outages are handled inside.
   *
   * @throws {RealtimeError} in one sentence: what is wrong with the URL, the database, its rights or `collections`.
   */
  async open(): Promise<void> {
    try {
      this.#runner = await this.#prepare();
    } catch (error) {
      await this.close();
      throw openError(this.name, this.#options.url, error);
    }
    try {
      await within(this.#settings.openWaitMs, this.#runner.start(), this.#closing.signal);
    } catch (error) {
      if (!(error instanceof TimeLimitError)) throw error;
      this.#runner.goWithout();
    }
  }

  state(): SourceState {
    return this.#isClosing ? ENDING : (this.#runner?.state ?? STARTING);
  }

  /** What happened so far, for `/metrics`. */
  stats(): Readonly<WalStats> {
    return { ...this.#stats, watchedChannels: this.#watches.size };
  }

  collections(): readonly CollectionInfo[] {
    return this.#catalog.infos;
  }

  async whyNotCollection(name: string): Promise<string | undefined> {
    if (this.state().live) await this.#catalog.recent(UNKNOWN_NAME_MAX_AGE_MS);
    return this.#catalog.current.unusable.get(name);
  }

  isPosition(text: string): boolean {
    return isStreamPosition(text);
  }

  async watch(key: ChannelKey): Promise<Position> {
    const table = await this.#capture(key.collection);
    const { position } = this.#requireLive();
    // Nobody would be told of a collection that was dropped meanwhile.
    if (!this.#catalog.current.tables.has(key.collection)) throw justChanged(key.collection);
    if (!this.#watches.has(key) && this.#watches.size >= this.#settings.maxWatchedChannels)
      throw watchesTooMany(this.name, this.#settings.maxWatchedChannels);
    this.#watches.add(key, table, position);
    return position;
  }

  unwatch(key: ChannelKey): void {
    this.#watches.remove(key);
  }

  /** Undefined while it is not live. */
  position(): Position | undefined {
    return this.state().live ? this.#runner?.position : undefined;
  }

  /** From memory: whoever comes back after a restart costs the database nothing. */
  async replay(
    key: ChannelKey,
    since: Position,
    until: Position,
  ): Promise<readonly SourceEvent[] | undefined> {
    return this.#requireLive().replay(key, since, until);
  }

  /** Every update tells the row before, and every change what is hidden: here only what is hidden is looked at. */
  async needPrior(collection: string, grantedFields: ReadonlySet<string>): Promise<void> {
    const table = await this.#capture(collection);
    await this.#requireColumns(table, grantedFields);
    const filtered = [...grantedFields].filter((field) => table.hidden.has(field));
    const known = this.#watches.filteredColumns(collection);
    if (filtered.every((column) => known.has(column))) return;
    const { capturer } = this.#requireLive();
    let problem;
    try {
      problem = await capturer.whyNotEncodable(table, new Set(filtered));
    } catch (error) {
      throw this.#explain(error);
    }
    if (problem !== undefined) throw new RealtimeError("collection_not_usable", problem);
    this.#watches.addFilteredColumns(collection, filtered);
  }

  async snapshot(
    { tenant, collection }: ChannelKey,
    narrowing: SnapshotNarrowing | undefined,
    signal: AbortSignal,
  ): Promise<Snapshot> {
    const { snapshots } = this.#requireLive();
    const table = this.#catalog.current.tables.get(collection);
    if (table === undefined) throw justChanged(collection);
    const granted = narrowing?.granted?.fields ?? [];
    await this.#requireColumns(table, granted);
    return snapshots.take({ table, tenant, narrowing }, signal);
  }

  /** Ends within {@link CLOSE_TIMEOUT_MS}, whatever is under way and whether the database answers or not. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#watches.clear();
    await endInTime(CLOSE_TIMEOUT_MS, this.#end(), this.#options.log);
    this.#closing.abort();
  }

  async #end(): Promise<void> {
    // What was processed is told first; then everything that is under way is given up.
    await this.#runner?.end();
    this.#closing.abort();
    await Promise.all([this.#runner?.ended(), this.#snapshots.close(), this.#database.close()]);
  }

  async #capture(collection: string): Promise<CapturedTable> {
    const { capturer } = this.#requireLive();
    try {
      // Publishing the table, and then the stream, may take their time.
      const limitMs = this.#settings.enrollTimeoutMs * 2 + LAST_ATTEMPT_MS;
      return await within(limitMs, capturer.capture(collection));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async #requireColumns(table: CapturedTable, columns: Iterable<string>): Promise<void> {
    try {
      await this.#grantedColumns.require(table, columns);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async #prepare(): Promise<WalRunner> {
    const shared = { database: this.#database, catalog: this.#catalog, settings: this.#settings };
    const publication = await prepareWal({ ...shared, slot: this.#options.slot });
    return new WalRunner({
      ...this.#options,
      ...shared,
      publication,
      grantedColumns: this.#grantedColumns,
      watches: this.#watches,
      snapshotReader: this.#snapshots,
      stats: this.#stats,
      signal: this.#closing.signal,
    });
  }

  #requireLive(): WalRunner {
    const state = this.state();
    if (state.live && this.#runner !== undefined) return this.#runner;
    throw notLive(this.name, state.live ? STARTING : state);
  }

  #explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#options.log.warn({ reason: String(error) }, "Cannot watch a channel");
    return cannotBeAsked(this.name, error);
  }
}

/** A slot that keeps a full history is not far behind. */
function withinLag(settings: WalSettings): WalSettings {
  const maxHistoryLogBytes = Math.min(settings.maxHistoryLogBytes, settings.maxSlotLagBytes / 2);
  return { ...settings, maxHistoryLogBytes };
}
