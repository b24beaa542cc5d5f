import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type {
  ChangeSink,
  ChangeSource,
  ChannelKey,
  CollectionInfo,
  Snapshot,
  SnapshotNarrowing,
  SourceEvent,
  SourceState,
} from "../change-source.ts";
import { endInTime } from "../end-in-time.ts";
import { SNAPSHOT_DEFAULTS } from "../snapshot-settings.ts";
import type { SnapshotSettings } from "../snapshot-settings.ts";
import { cannotBeAsked, notLive } from "../source-errors.ts";
import type { MongoCollectionsConfig } from "./collections.ts";
import { Connection, type ClientFactory, type Connected } from "./connection.ts";
import { isPassing, openError, reasonOf } from "./errors.ts";
import { KnownNeeds, type NamesStore } from "./filter-needs.ts";
import { OutageWatch } from "./outage-watch.ts";
import { contradicts, isPosition } from "./position.ts";
import { ReplayQueue } from "./replay-queue.ts";
import { MONGO_DEFAULTS, type MongoSettings } from "./settings.ts";
import { pinsReads } from "./snapshot-cursor.ts";
import { takeSnapshot } from "./snapshot.ts";
import { emptyStats, type MongoStats } from "./stats.ts";
import { Streams } from "./streams.ts";

/** The driver tells the server what it does not need any more, and waits for the answers. */
const CLOSE_TIMEOUT_MS = 2_500;

/** What a {@link MongoSource} is made of. */
export interface MongoSourceOptions {
  readonly name: string;
  /** Of a replica set. */
  readonly url: string;
  /** Default: the path of the URL. */
  readonly database?: string | undefined;
  /** Without it, every collection of the database goes by its own name. */
  readonly collections?: MongoCollectionsConfig | undefined;
  readonly sink: ChangeSink;
  /** A child logger that names the source. */
  readonly log: Logger;
  readonly settings?: Partial<MongoSettings> | undefined;
  readonly snapshots?: Partial<SnapshotSettings> | undefined;
  /** Where the collections are kept whose hidden fields filters of grants need. Default: nowhere. */
  readonly hiddenNeeds?: NamesStore | undefined;
  readonly createClient?: ClientFactory | undefined;
}

/** Before the server has said what it is. Nothing can be watched, so no cursor has it. */
const UNKNOWN_EPOCH = "unknown";

/**
 * Changes of a MongoDB database by change streams, one for each collection in use.
 * The oplog is their history: an outage of the connection, or a restart of this
 * server, costs nobody a change as long as the oplog reaches back.
 */
export class MongoSource implements ChangeSource {
  readonly name: string;
  readonly #options: MongoSourceOptions;
  readonly #settings: MongoSettings;
  readonly #log: Logger;
  readonly #stats = emptyStats();
  readonly #replays: ReplayQueue;
  readonly #needs: KnownNeeds;
  readonly #server: OutageWatch;
  #connection: Connection | undefined;
  #connected: Connected | undefined;
  #streams: Streams | undefined;
  #closed = false;
  #pinsReads: boolean | undefined;

  constructor(options: MongoSourceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#settings = Object.freeze({ ...MONGO_DEFAULTS, ...options.settings });
    this.#log = options.log;
    this.#server = new OutageWatch({
      settings: this.#settings,
      log: options.log,
      ask: () => this.#refresh(),
    });
    this.#needs = new KnownNeeds(options.hiddenNeeds, options.log);
    this.#replays = new ReplayQueue(this.#settings.maxConcurrentReplays);
  }

  get epoch(): string {
    return this.#connected?.epoch ?? UNKNOWN_EPOCH;
  }

  /**
   * Connects. A server that cannot be reached is tried again in the background.
   *
   * @throws {Error} in one sentence: no replica set, too old, wrong password, or a URL that is none.
   */
  async open(): Promise<void> {
    await this.#needs.recall();
    try {
      const { url, database, collections, createClient } = this.#options;
      const of = { url, database, collections, createClient };
      this.#connection = new Connection({ ...of, settings: this.#settings, log: this.#log });
      await this.#connect(this.#connection);
    } catch (error) {
      if (!isPassing(error)) {
        await this.close();
        throw openError(this.name, error);
      }
      this.#server.down(error);
    }
    this.#server.start();
  }

  state(): SourceState {
    const { reason } = this.#server;
    if (reason !== undefined) return this.#notLive(reason);
    const problem = this.#streams?.problem();
    if (problem !== undefined) return this.#notLive(problem);
    const detail = this.#limitation();
    return detail === undefined ? { live: true } : { live: true, detail };
  }

  stats(): Readonly<MongoStats> {
    const streams = this.#streams;
    return {
      ...this.#stats,
      streams: streams?.openCount ?? 0,
      watchedChannels: streams?.memberCount ?? 0,
      collectionsWithoutDeletes: streams?.withoutImages().length ?? 0,
    };
  }

  collections(): readonly CollectionInfo[] {
    return [...(this.#connection?.catalog.current.usable.keys() ?? [])].map((name) => ({ name }));
  }

  async whyNotCollection(name: string): Promise<string | undefined> {
    if (this.#connection === undefined || this.#server.reason !== undefined) return undefined;
    try {
      await this.#connection.catalog.refresh();
    } catch (error) {
      this.#server.down(error);
      return undefined;
    }
    return this.#connection.catalog.current.unusable.get(name);
  }

  async watch(key: ChannelKey): Promise<Position> {
    return this.#ask(key.collection, (streams) => streams.join(key));
  }

  async needPrior(collection: string, hiddenFields: ReadonlySet<string>): Promise<void> {
    await this.#ask(collection, (streams) => streams.filter(collection, hiddenFields));
  }

  async #ask<T>(collection: string, work: (streams: Streams) => Promise<T>): Promise<T> {
    const { reason } = this.#server;
    if (reason !== undefined || this.#streams === undefined) throw this.#unavailable(reason ?? "");
    try {
      return await work(this.#streams);
    } catch (error) {
      if (error instanceof RealtimeError) throw error;
      this.#log.warn({ collection, reason: reasonOf(error) }, "Cannot watch a channel");
      throw cannotBeAsked(this.name, error);
    }
  }

  /** Undefined while it is not live. */
  position({ tenant, collection }: ChannelKey): Position | undefined {
    return this.#server.reason === undefined ? this.#streams?.get(collection)?.position(tenant) : undefined;
  }

  unwatch(key: ChannelKey): void {
    this.#streams?.leave(key);
  }

  async replay(
    key: ChannelKey,
    since: Position,
    until: Position,
  ): Promise<readonly SourceEvent[] | undefined> {
    if (!isPosition(since) || !isPosition(until)) return undefined;
    const stream = this.#streams?.replayStream(key, since);
    if (stream === undefined) return undefined;
    this.#stats.replays += 1;
    try {
      const needsPrior = this.#streams?.needsPrior(key.collection) === true || stream.images;
      const request = { tenant: key.tenant, since, until, needsPrior, stream };
      const events = await this.#replays.run(request);
      if (events === undefined) this.#stats.replaysRefused += 1;
      return events;
    } catch (error) {
      this.#stats.replaysRefused += 1;
      this.#log.info({ collection: key.collection, reason: reasonOf(error) }, "A client cannot be caught up");
      return undefined;
    }
  }

  async snapshot(
    key: ChannelKey,
    narrowing: SnapshotNarrowing | undefined,
    signal: AbortSignal,
  ): Promise<Snapshot> {
    const stream = this.#streams?.get(key.collection);
    const { reason } = this.#server;
    if (reason !== undefined || this.#connection === undefined || stream === undefined)
      throw this.#unavailable(reason ?? "The collection is not watched.");
    const { client, db, clock } = this.#connection;
    return takeSnapshot({
      source: this.name,
      client,
      db,
      clock,
      stream,
      tenant: key.tenant,
      // Asked once: it is the server's way, whatever the collection.
      isPinned: async () => (this.#pinsReads ??= await pinsReads(db, stream.collection.collection)),
      narrowing,
      replay: (since, until) => this.replay(key, since, until),
      settings: { ...SNAPSHOT_DEFAULTS, ...this.#options.snapshots },
      maxDocumentBytes: this.#settings.maxDocumentBytes,
      maxRememberedDocuments: this.#settings.maxRememberedDocuments,
      log: this.#log,
      signal,
    });
  }

  isPosition(text: string): boolean {
    return isPosition(text);
  }

  contradicts(one: Position, other: Position): boolean {
    return contradicts(one, other);
  }

  /** Ends within {@link CLOSE_TIMEOUT_MS}, whatever is under way and whether the server answers or not. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await endInTime(CLOSE_TIMEOUT_MS, this.#end("The server is shutting down."), this.#log);
  }

  async #end(reason: string): Promise<void> {
    this.#server.end(reason);
    await this.#streams?.close(this.#unavailable(reason));
    await this.#connection?.close();
    await this.#server.ended();
  }

  async #connect(connection: Connection): Promise<void> {
    const connected = await connection.connect();
    this.#connected = connected;
    this.#streams = new Streams({
      connection,
      connected,
      sink: this.#options.sink,
      needs: this.#needs,
      settings: this.#settings,
      stats: this.#stats,
      log: this.#log,
    });
    this.#server.up();
    const limitation = this.#limitation();
    if (limitation !== undefined) this.#log.warn({ version: connected.facts.version }, limitation);
  }

  async #refresh(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    if (this.#connected === undefined) {
      await this.#connect(connection);
      return;
    }
    await connection.clock.fetchNow();
    await connection.catalog.refresh();
    this.#server.up();
    this.#streams?.compareWithCatalog();
  }

  /** What does not work although the source is live. */
  #limitation(): string | undefined {
    if (this.#connected?.facts.features.images === false) {
      return `MongoDB ${this.#connected.facts.version} has no pre-images: deletes are not delivered. Upgrade to version 6 or newer.`;
    }
    const names = this.#streams?.withoutImages() ?? [];
    if (names.length === 0) return undefined;
    return `Deletes are not delivered of: ${names.join(", ")}. Pre-images cannot be enabled there: give the user the role dbAdmin, or enable them yourself, see docs/mongodb.md.`;
  }

  #notLive(reason: string): SourceState & { readonly live: false } {
    return { live: false, reason, retryAfterMs: this.#settings.maxRetryMs };
  }

  #unavailable(reason: string): RealtimeError {
    return notLive(this.name, this.#notLive(reason));
  }
}
