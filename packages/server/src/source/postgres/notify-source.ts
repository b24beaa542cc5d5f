import { randomBytes } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import { ListenerDownError, PgListener } from "../../postgres/listener.ts";
import type { ChangeSink, ChangeSource, ChannelKey, CollectionInfo, SourceState } from "../change-source.ts";
import { CatalogFollower } from "./catalog-follower.ts";
import { CONTROL_CHANNEL, PUBLISH_CHANNEL } from "./channels.ts";
import type { CollectionsConfig } from "./collections.ts";
import { openError } from "./open-error.ts";
import { SourceDatabase } from "./database.ts";
import { Receiver } from "./receiver.ts";
import type { TopicSink } from "./receiver.ts";
import { NOTIFY_DEFAULTS } from "./settings.ts";
import type { NotifySettings } from "./settings.ts";
import { emptyStats } from "./stats.ts";
import type { SourceStats } from "./stats.ts";
import type { CapturedTable } from "./table.ts";
import { Watches } from "./watches.ts";
import type { Watch, WatchedCollection } from "./watches.ts";

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
}

const APPLICATION_NAME = "paperdb-realtime";

/**
 * Changes of a PostgreSQL database by triggers and NOTIFY. It needs no setting of
 * the server. NOTIFY has no history, so an outage of the connection resets everybody.
 */
export class PostgresNotifySource implements ChangeSource {
  readonly name: string;
  readonly epoch: string = randomBytes(9).toString("base64url");
  readonly #options: PostgresNotifySourceOptions;
  readonly #settings: NotifySettings;
  readonly #log: Logger;
  readonly #stats = emptyStats();
  readonly #watches = new Watches();
  readonly #database: SourceDatabase;
  readonly #receiver: Receiver;
  readonly #listener: PgListener;
  readonly #catalog: CatalogFollower;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  #opened = false;
  #closed = false;
  /** Counts connections, so that a recovery that another outage overtook stops. */
  #connections = 0;

  constructor(options: PostgresNotifySourceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#settings = Object.freeze({ ...NOTIFY_DEFAULTS, ...options.settings });
    this.#log = options.log;
    const { sink, topics } = options;
    const settings = this.#settings;
    this.#database = new SourceDatabase(options.url, APPLICATION_NAME, settings, this.#log);
    this.#receiver = new Receiver({
      sink,
      topics,
      watches: this.#watches,
      fetchOutbox: (id) => this.#database.fetchOutboxMessage(id),
      settings,
      stats: this.#stats,
      log: this.#log,
    });
    this.#listener = new PgListener({
      url: options.url,
      applicationName: `${APPLICATION_NAME} listener`,
      log: this.#log,
      onNotification: (channel, payload) => {
        this.#receiver.push(channel, payload);
      },
      onUp: () => void this.#up(),
      onDown: (reason) => {
        this.#down(reason);
      },
      minBackoffMs: settings.minReconnectMs,
      maxBackoffMs: settings.maxReconnectMs,
      connectTimeoutMs: settings.connectTimeoutMs,
      probeIntervalMs: settings.probeIntervalMs,
      probeTimeoutMs: settings.probeTimeoutMs,
    });
    this.#catalog = new CatalogFollower({
      database: this.#database,
      config: options.collections,
      watches: this.#watches,
      settings,
      stats: this.#stats,
      log: this.#log,
      isLive: () => this.#state.live,
      lost: (keys, reason) => {
        this.#receiver.lost(keys, reason);
      },
      dropped: (collection) => {
        this.#drop(collection);
      },
    });
  }

  /**
   * Connects, sets up schema `paperdb` and reads the catalog. Later outages are handled inside.
   *
   * @throws {Error} in one sentence: what is wrong with the URL, the database, its rights or `collections`.
   */
  async open(): Promise<void> {
    try {
      await this.#database.prepare();
      await this.#catalog.open();
      await this.#listener.listen([CONTROL_CHANNEL, PUBLISH_CHANNEL]).catch(ignoreListenerDown);
      await this.#listener.open();
    } catch (error) {
      await this.close();
      throw openError(this.name, this.#options.url, error);
    }
    this.#opened = true;
    this.#state = { live: true };
    this.#catalog.follow();
  }

  state(): SourceState {
    return this.#state;
  }

  stats(): Readonly<SourceStats> {
    return {
      ...this.#stats,
      pendingBytes: this.#receiver.pendingBytes,
      listenedChannels: this.#watches.size,
    };
  }

  collections(): readonly CollectionInfo[] {
    return [...this.#catalog.current.tables.keys()].map((name) => ({ name }));
  }

  async whyNotCollection(name: string): Promise<string | undefined> {
    if (this.#state.live) await this.#catalog.refresh();
    return this.#catalog.current.unusable.get(name);
  }

  async watch(key: ChannelKey): Promise<Position> {
    this.#requireLive();
    let watch: Watch | undefined;
    try {
      const table = await this.#catalog.capture(key.collection);
      watch = this.#claim(key, table);
      watch.listening ??= this.#listener.listen([watch.notifyChannel]);
      await watch.listening;
    } catch (error) {
      // All who waited for this LISTEN fail together, so nobody needs the watch.
      if (watch !== undefined && this.#watches.get(key) === watch) this.#forget(watch);
      throw this.#watchError(error);
    }
    this.#requireLive();
    if (this.#watches.get(key) !== watch) {
      throw new RealtimeError(
        "source_unavailable",
        `The collection "${key.collection}" just changed: try again.`,
        {
          retryAfterSeconds: 1,
        },
      );
    }
    return this.#receiver.position;
  }

  unwatch(key: ChannelKey): void {
    const watch = this.#watches.get(key);
    if (watch === undefined || watch.lingering !== undefined) return;
    watch.lingering = setTimeout(() => {
      this.#forget(watch);
    }, this.#settings.lingerMs);
    watch.lingering.unref();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    this.#watches.clear();
    await this.#catalog.close();
    await this.#listener.close();
    await this.#database.close();
  }

  #claim(key: ChannelKey, table: CapturedTable): Watch {
    const existing = this.#watches.get(key);
    if (existing !== undefined) {
      clearTimeout(existing.lingering);
      existing.lingering = undefined;
      return existing;
    }
    if (this.#watches.size >= this.#settings.maxListenedChannels) this.#makeRoom();
    return this.#watches.add(key, table);
  }

  #makeRoom(): void {
    const idle = this.#watches.oldestLingering();
    if (idle === undefined) {
      throw new RealtimeError(
        "source_unavailable",
        `The source "${this.name}" listens to ${String(this.#settings.maxListenedChannels)} channels already: raise maxListenedChannels.`,
        { retryAfterSeconds: 30 },
      );
    }
    this.#forget(idle);
  }

  #forget(watch: Watch): void {
    if (!this.#watches.remove(watch) || this.#closed) return;
    // Without a connection there is nothing to stop: it is not LISTENed again.
    this.#listener.unlisten([watch.notifyChannel]).catch(ignoreListenerDown);
  }

  #drop(collection: WatchedCollection): void {
    for (const watch of collection.watches) this.#forget(watch);
    this.#options.sink.dropped(collection.name, "collection_dropped");
  }

  #requireLive(): void {
    if (this.#state.live) return;
    throw new RealtimeError(
      "source_unavailable",
      `The source "${this.name}" is not live: ${this.#state.reason}`,
      { retryAfterSeconds: Math.max(1, Math.ceil(this.#state.retryAfterMs / 1_000)) },
    );
  }

  #watchError(error: unknown): unknown {
    if (error instanceof RealtimeError) return error;
    this.#log.warn({ reason: String(error) }, "Cannot watch a channel");
    return new RealtimeError(
      "source_unavailable",
      `The source "${this.name}" cannot be asked at the moment: try again.`,
      { cause: error, retryAfterSeconds: 1 },
    );
  }

  #down(reason: string): void {
    if (this.#closed || !this.#opened) return;
    this.#connections += 1;
    if (this.#state.live) this.#log.warn({ reason }, "The source is not live any more");
    this.#state = { live: false, reason, retryAfterMs: this.#settings.maxReconnectMs };
    this.#receiver.clear();
    this.#database.reset();
  }

  /** After an outage: what was missed is unknown, so everybody is reset, once all is captured again. */
  async #up(): Promise<void> {
    if (!this.#opened) return;
    const connection = this.#connections;
    const stale = (): boolean => this.#closed || connection !== this.#connections;
    // The listener keeps the LISTENs, also of a watch whose own attempt failed.
    await this.#catalog.recapture(stale);
    if (stale()) return;
    this.#state = { live: true };
    this.#receiver.lost("all", "source_reconnected");
    this.#options.topics.lost?.("source_reconnected");
    this.#log.info("The source is live again");
  }
}

function ignoreListenerDown(error: unknown): void {
  if (!(error instanceof ListenerDownError)) throw error;
}
