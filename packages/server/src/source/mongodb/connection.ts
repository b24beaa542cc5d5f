import { createHash } from "node:crypto";
import { MongoClient, type Db, type MongoClientOptions } from "mongodb";
import type { Logger } from "pino";
import { Catalog } from "./catalog.ts";
import type { MongoCollectionsConfig } from "./collections.ts";
import { databaseOf, missingDatabase } from "./database-name.ts";
import { fetchLimits } from "./limits.ts";
import { PreImages } from "./pre-images.ts";
import { fetchServerFacts, ServerClock, type ServerFacts } from "./replica-set.ts";
import type { MongoSettings } from "./settings.ts";

/** Streams that are opened while the one before goes on, commands, and some in reserve. */
const CONNECTIONS_BESIDES_STREAMS = 32;
/** Streams of a collection at a time: the one that is read, and the next one. */
const STREAMS_PER_COLLECTION = 2;
const HEARTBEAT_INTERVAL_MS = 2_000;
/** Of the epoch: raised whenever positions change their meaning. */
const FORMAT = 1;

/** Makes the driver's client; a test makes one that it can watch. */
export type ClientFactory = (url: string, options: MongoClientOptions) => MongoClient;

/** What a {@link Connection} is made of. */
export interface ConnectionOptions {
  readonly url: string;
  readonly database: string | undefined;
  readonly collections: MongoCollectionsConfig | undefined;
  readonly settings: MongoSettings;
  readonly createClient: ClientFactory | undefined;
  readonly log: Logger;
}

/** What is there once the server has answered. */
export interface Connected {
  readonly facts: ServerFacts;
  readonly preImages: PreImages;
  /** Equal for servers of the same data, and as long as positions mean the same. */
  readonly epoch: string;
  /** How far back changes can be read: without its pre-image a delete would be missing. */
  readonly imageExpiryMs: number;
}

/** A database of a replica set, and what is asked of it besides streams. */
export class Connection {
  readonly db: Db;
  readonly clock: ServerClock;
  readonly catalog: Catalog;
  readonly #client: MongoClient;
  readonly #options: ConnectionOptions;

  /** @throws {MongoParseError | UnsuitableServerError} when the URL is none, or names no database. */
  constructor(options: ConnectionOptions) {
    const { url, database, settings, createClient = (text, rest) => new MongoClient(text, rest) } = options;
    this.#options = options;
    this.#client = createClient(url, {
      appName: "paperdb-realtime",
      // Each stream holds a connection for as long as the server has nothing to send.
      maxPoolSize:
        (settings.maxStreams + settings.maxConcurrentReplays) * STREAMS_PER_COLLECTION +
        CONNECTIONS_BESIDES_STREAMS,
      serverSelectionTimeoutMS: settings.connectTimeoutMs,
      connectTimeoutMS: settings.connectTimeoutMs,
      waitQueueTimeoutMS: settings.watchTimeoutMs,
      heartbeatFrequencyMS: HEARTBEAT_INTERVAL_MS,
      readConcern: { level: "majority" },
      readPreference: "primary",
    });
    const name = database ?? databaseOf(url);
    if (name === undefined) throw missingDatabase();
    this.db = this.#client.db(name);
    this.clock = new ServerClock(this.db, settings.clockSettleMs);
    this.catalog = new Catalog(this.db, options.collections);
  }

  /** Asks the server what it is and has. Can be called again after it failed. */
  async connect(): Promise<Connected> {
    await this.#open();
    const facts = await fetchServerFacts(this.db);
    await this.clock.fetchNow();
    await this.catalog.refresh();
    const { imageExpiryMs = Infinity } = await fetchLimits(this.#client);
    return {
      facts,
      preImages: new PreImages(this.db, facts.features.images, this.#options.settings, this.#options.log),
      epoch: this.#epoch(facts),
      imageExpiryMs,
    };
  }

  get client(): MongoClient {
    return this.#client;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** A client whose first connection failed stays closed until it is told to connect once more. */
  async #open(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      await this.#client.close();
      throw error;
    }
  }

  #epoch({ setName }: ServerFacts): string {
    const tenantFields = Object.entries(this.#options.collections ?? {}).map(
      ([name, { collection, tenantField }]) => [name, collection, tenantField],
    );
    const identity = JSON.stringify([FORMAT, setName, this.db.databaseName, tenantFields]);
    return createHash("sha256").update(identity).digest("base64url").slice(0, 12);
  }
}
