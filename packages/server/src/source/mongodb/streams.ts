import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, ChannelKey } from "../change-source.ts";
import { CollectionStream } from "./collection-stream.ts";
import type { MongoCollection } from "./collections.ts";
import type { Connected, Connection } from "./connection.ts";
import { reasonOf } from "./errors.ts";
import { EventBuffer } from "./event-buffer.ts";
import { outerNames, type KnownNeeds } from "./filter-needs.ts";
import type { ReplayRequest } from "./replay-part.ts";
import type { MongoSettings } from "./settings.ts";
import type { MongoStats } from "./stats.ts";

/** What {@link Streams} work with. */
export interface StreamsOptions {
  readonly connection: Connection;
  readonly connected: Connected;
  readonly sink: ChangeSink;
  /** Of collections in use or not. */
  readonly needs: KnownNeeds;
  readonly settings: MongoSettings;
  readonly stats: MongoStats;
  readonly log: Logger;
}

/** The streams of the collections in use, by public name. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #buffer: EventBuffer;
  readonly #byName = new Map<string, CollectionStream>();

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#buffer = new EventBuffer(options.sink, options.log);
  }

  get openCount(): number {
    return [...this.#byName.values()].filter(({ isOpen }) => isOpen).length;
  }

  get memberCount(): number {
    let count = 0;
    for (const stream of this.#byName.values()) count += stream.memberCount;
    return count;
  }

  /** Names of collections in use whose deletes are not delivered. */
  withoutImages(): readonly string[] {
    return [...this.#byName].filter(([, { hasImages }]) => hasImages === false).map(([name]) => name);
  }

  /** Why the changes of a collection in use do not arrive at the moment. */
  problem(): string | undefined {
    for (const [name, { problem }] of this.#byName) {
      if (problem !== undefined) return `The changes of collection "${name}" do not arrive: ${problem}.`;
    }
    return undefined;
  }

  /** @throws {RealtimeError} `collection_not_found`, or `source_unavailable` beyond the bound. */
  async join(key: ChannelKey): Promise<Position> {
    const existing = this.#byName.get(key.collection);
    if (existing !== undefined) return existing.join(key);
    return this.#add(this.#collection(key.collection)).join(key);
  }

  /**
   * Resolves once every event of the collection that reaches the log has what filters need.
   *
   * @param fields - outermost names of fields that filters name.
   * @throws {RealtimeError} `collection_not_found`, `prior_images_required`.
   */
  async filter(name: string, fields: ReadonlySet<string>): Promise<void> {
    const collection = this.#byName.get(name)?.collection ?? this.#collection(name);
    await this.#requireImages(collection);
    const hidden = outerNames(collection.hidden);
    const needsHidden = [...fields].some((field) => hidden.has(field));
    const { needs } = this.#options;
    const wanted = needs.of(name);
    const isHiddenNews = needsHidden && !wanted.hidden;
    const stream = this.#byName.get(name);
    if (stream !== undefined) {
      await stream.filter(needsHidden);
    } else {
      wanted.prior = true;
      wanted.hidden ||= needsHidden;
    }
    if (isHiddenNews) await needs.remember();
  }

  leave(key: ChannelKey): void {
    this.#byName.get(key.collection)?.leave(key.tenant);
  }

  /** The stream of a collection in use. */
  get(collection: string): CollectionStream | undefined {
    return this.#byName.get(collection);
  }

  /** Whether filters need the collection's prior documents. */
  needsPrior(collection: string): boolean {
    return this.#options.needs.of(collection).prior;
  }

  /** What a second stream for a tenant of a collection in use is opened with; undefined when it must not be. */
  replayStream(
    { collection: name, tenant }: ChannelKey,
    since: Position,
  ): ReplayRequest["stream"] | undefined {
    const stream = this.#byName.get(name);
    if (stream?.hasImages === undefined || !stream.isReadableSince(tenant, since)) return undefined;
    const { connection, connected, settings } = this.#options;
    return {
      db: connection.db,
      clock: connection.clock,
      collection: stream.collection,
      features: connected.facts.features,
      images: stream.hasImages,
      withHidden: this.#options.needs.of(name).hidden,
      settings: {
        ...settings,
        maxReplayAgeMs: Math.min(settings.maxReplayAgeMs, connected.imageExpiryMs),
      },
    };
  }

  /** After a look at the catalog: notices what no stream tells. */
  compareWithCatalog(): void {
    const { catalog } = this.#options.connection;
    for (const { name, change } of catalog.compare(this.#byName.values())) {
      const stream = this.#byName.get(name);
      if (stream === undefined) continue;
      if (change === "dropped") {
        this.#end(stream);
      } else {
        if (change === "images_disabled") {
          this.#options.connected.preImages.forget(stream.collection.collection);
        }
        stream.restart(change);
      }
    }
  }

  async close(reason: Error): Promise<void> {
    const streams = [...this.#byName.values()];
    this.#byName.clear();
    await Promise.all(streams.map((stream) => stream.close(reason)));
  }

  #collection(name: string): MongoCollection {
    const collection = this.#options.connection.catalog.current.usable.get(name);
    if (collection !== undefined) return collection;
    throw new RealtimeError("collection_not_found", `There is no collection "${name}" any more.`);
  }

  #add(collection: MongoCollection): CollectionStream {
    const { connection, connected, settings, stats, log } = this.#options;
    const needs = this.#options.needs.of(collection.name);
    if (this.#byName.size >= settings.maxStreams) {
      throw new RealtimeError(
        "source_unavailable",
        `${String(settings.maxStreams)} collections are in use already: raise maxStreams.`,
        { retryAfterSeconds: 30 },
      );
    }
    const stream: CollectionStream = new CollectionStream(collection, {
      db: connection.db,
      clock: connection.clock,
      features: connected.facts.features,
      imageExpiryMs: connected.imageExpiryMs,
      ensureImages: () =>
        connected.preImages.ensure(connection.catalog.current.usable.get(collection.name) ?? collection),
      buffer: this.#buffer,
      needs,
      settings,
      stats,
      log,
      onEnded: () => this.#end(stream),
      onEmpty: () => this.#remove(stream),
    });
    this.#byName.set(collection.name, stream);
    return stream;
  }

  /** Somebody who may could have enabled them since the last look. */
  async #requireImages(collection: MongoCollection): Promise<void> {
    const { connected, connection } = this.#options;
    const { catalog } = connection;
    const current = (): MongoCollection => catalog.current.usable.get(collection.name) ?? collection;
    if (await connected.preImages.ensure(current())) return;
    await catalog.refresh();
    if (await connected.preImages.ensure(current())) return;
    throw new RealtimeError(
      "prior_images_required",
      `The collection "${collection.name}" has no pre-images, so what changes are to a filter cannot be told: let the server enable them, or enable them yourself, see docs/mongodb.md.`,
    );
  }

  #end(stream: CollectionStream): void {
    const { name, collection } = stream.collection;
    if (this.#byName.get(name) !== stream) return;
    this.#remove(stream);
    this.#options.connected.preImages.forget(collection);
    this.#buffer.dropped(name, "collection_dropped");
    this.#options.connection.catalog.refresh().catch((error: unknown) => {
      this.#options.log.debug({ reason: reasonOf(error) }, "The catalog could not be read");
    });
  }

  #remove(stream: CollectionStream): void {
    const { name } = stream.collection;
    if (this.#byName.get(name) === stream) this.#byName.delete(name);
    const reason = new RealtimeError("collection_not_found", `The collection "${name}" was dropped.`);
    stream.close(reason).catch((error: unknown) => {
      this.#options.log.debug({ reason: reasonOf(error) }, "A change stream did not close");
    });
  }
}
