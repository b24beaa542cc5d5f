import type { ChangeType, Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, ChannelKey } from "../../change-source.ts";
import { describeFailure } from "./delivery-failure.ts";
import type { DocumentEvent } from "./event-bytes.ts";
import { areWithin, documentsOf } from "./event-documents.ts";
import { GatheredEvents } from "./gathered-events.ts";
import type { Journal } from "./journal.ts";
import type { DeleteMessage, InsertMessage, UpdateMessage } from "./pgoutput.ts";
import type { Relation } from "./relation.ts";
import { IncompleteRowError } from "./incomplete-row-error.ts";
import { RowEncoder } from "./row-encoder.ts";
import type { WalSettings } from "./settings.ts";
import type { WalStats } from "./stats.ts";
import type { StreamPlace } from "./stream-place.ts";
import type { CapturedTable } from "../table.ts";
import type { Tuple } from "./tuple.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import type { WalWatches, WatchedCollection } from "./wal-watches.ts";

/** A change of a row. */
export type RowChange = InsertMessage | UpdateMessage | DeleteMessage;

/** What a {@link ChangeReceiver} works with. */
export interface ChangeReceiverOptions {
  readonly sink: ChangeSink;
  readonly watches: WalWatches;
  readonly types: TypeCatalog;
  readonly place: StreamPlace;
  readonly journal: Journal;
  readonly settings: Pick<WalSettings, "maxDocumentBytes">;
  readonly stats: WalStats;
  readonly log: Logger;
  /** Whether all that a former server had of the log was read again. */
  readonly isCaughtUp: () => boolean;
  /** Resolves once the catalog has what the transaction created, or it takes too long. */
  readonly untilVisible: (transaction: number) => Promise<void>;
  /** The table at the top of a partition; undefined for what is none, or gone. */
  readonly fetchPartitionRoot: (relationOid: number) => Promise<number | undefined>;
}

/** No document is made of a change so many times larger than one may be: it could take all memory, at each start again. */
const FAR_BEYOND = 4;

/** Makes events of changes, in their order: for the channels that are watched, and for the journal. */
export class ChangeReceiver {
  readonly #options: ChangeReceiverOptions;
  readonly #gathered = new GatheredEvents();
  /** What the log has not taken yet. */
  #appending: Promise<void> | undefined;
  #committedAtMs = 0;
  #transaction = 0;
  #atMs = 0;
  /** Behind a gap that nobody was told of yet. */
  #isInterrupted = false;

  constructor(options: ChangeReceiverOptions) {
    this.#options = options;
  }

  /** @param atMs - when the transaction came, or would have come had this server been there. */
  begin(committedAtMs: number, transaction: number, atMs: number): void {
    this.#committedAtMs = committedAtMs;
    this.#transaction = transaction;
    this.#atMs = atMs;
  }

  /** The stream describes a relation; it may be a partition that nobody knew of. */
  relation({ oid }: Relation): undefined | Promise<void> {
    const { watches } = this.#options;
    return watches.isEmpty || watches.on(oid).length > 0 ? undefined : this.#findRoot(oid);
  }

  /** The next change of the transaction. What can fail comes before it counts as seen, since it is not sent twice then. */
  change(change: RowChange): void | Promise<void> {
    const { place, types, watches } = this.#options;
    const collections = watches.on(change.relation.oid);
    if (collections.length > 0 && !types.has(change.relation.columns)) return this.#loadTypes(change);
    if (!place.next() || collections.length === 0) return undefined;
    for (const collection of collections) {
      if (!collection.isBroken && this.#isOf(collection)) this.#receive(collection, change);
    }
    return this.#gathered.isFull ? this.flush() : undefined;
  }

  truncate(relations: readonly Relation[]): void {
    const { watches } = this.#options;
    for (const collection of new Set(relations.flatMap(({ oid }) => watches.on(oid)))) {
      if (this.#isOf(collection)) this.lost(collection, "truncated");
    }
  }

  /** Tells log and journal that changes of a collection may have been missed, after all that was received before. */
  lost(collection: WatchedCollection, reason: string): void {
    collection.since = this.#options.place.position;
    this.#tellLost(collection.channels(), reason);
  }

  /** Changes were missed: nothing is handed on from now until {@link recover}; the journal has begun anew. */
  interrupt(): void {
    this.#isInterrupted = true;
  }

  /** Once all is captured again, everybody is told. */
  recover(reason: string): void {
    void this.flush();
    this.#isInterrupted = false;
    this.#tellLost("all", reason);
  }

  /** Hands on what was gathered. @returns what the log has not taken yet. */
  flush(): undefined | Promise<void> {
    if (this.#gathered.isEmpty) return this.#appending;
    const events = this.#gathered.take();
    if (this.#isInterrupted) return this.#appending;
    const busy = this.#options.sink.append(events);
    return busy instanceof Promise ? this.#append(busy) : this.#appending;
  }

  /** A failure stays: what the log did not take is missing, so the stream must not go on. */
  #append(busy: Promise<void>): Promise<void> {
    const appending = Promise.all([this.#appending, busy]).then(() => {
      if (this.#appending === appending) this.#appending = undefined;
    });
    appending.catch(() => undefined); // Whoever flushes next gets it.
    this.#appending = appending;
    return appending;
  }

  #lostChannel(channel: ChannelKey, reason: string): void {
    this.#options.journal.miss(channel, this.#options.place.position, this.#atMs);
    this.#tellLost([channel], reason);
  }

  #tellLost(channels: Iterable<ChannelKey> | "all", reason: string): void {
    void this.flush();
    if (!this.#isInterrupted) this.#options.sink.lost(channels, this.#options.place.position, reason);
  }

  /** What is read again may be older than what is known of its table. */
  #isOf({ since }: WatchedCollection): boolean {
    return this.#options.isCaughtUp() || this.#options.place.changePosition > since;
  }

  async #findRoot(oid: number): Promise<void> {
    await this.#options.untilVisible(this.#transaction);
    const root = await this.#options.fetchPartitionRoot(oid);
    if (root !== undefined) this.#options.watches.addPartition(root, oid);
  }

  async #loadTypes(change: RowChange): Promise<void> {
    await this.#options.untilVisible(this.#transaction);
    await this.#options.types.load(change.relation.columns);
    await this.change(change);
  }

  #receive(collection: WatchedCollection, change: RowChange): void {
    try {
      this.#deliver(collection, change, this.#encoderOf(collection, change.relation));
    } catch (error) {
      this.#options.log.warn(
        { collection: collection.name, ...describeFailure(error) },
        "A change cannot be delivered, so its collection is reset",
      );
      collection.isBroken = true;
      this.lost(collection, "capture_failed");
    }
  }

  #encoderOf(collection: WatchedCollection, relation: Relation): RowEncoder {
    let encoder = collection.encoder(relation);
    if (encoder === undefined) {
      const { types, watches } = this.#options;
      requireName(relation, collection.table);
      const filtered = watches.filteredColumns(collection.name);
      encoder = new RowEncoder(relation, { ...collection.table, filtered }, types);
      collection.addEncoder(relation, encoder);
    }
    return encoder;
  }

  #deliver(collection: WatchedCollection, change: RowChange, encoder: RowEncoder): void {
    const { place } = this.#options;
    if (change.kind === "insert") {
      const tenant = encoder.tenant(change.row);
      this.#event(collection, encoder, tenant, "insert", place.changePosition, change.row);
      return;
    }
    if (change.kind === "delete") {
      const tenant = encoder.tenant(change.old);
      this.#event(collection, encoder, tenant, "delete", place.changePosition, change.old);
      return;
    }
    const { old, row } = change;
    // Without the row before, nobody can be told that it left.
    if (old === undefined) throw new IncompleteRowError("identity");
    const oldTenant = encoder.tenant(old);
    const newTenant = encoder.tenant(row, old);
    if (oldTenant === newTenant && encoder.documentId(old) === encoder.documentId(row, old)) {
      this.#event(collection, encoder, newTenant, "update", place.changePosition, row, old);
      return;
    }
    this.#event(collection, encoder, oldTenant, "delete", place.changePosition, old);
    this.#event(collection, encoder, newTenant, "insert", place.secondPosition, row, old);
  }

  #event(
    collection: WatchedCollection,
    encoder: RowEncoder,
    tenant: string | null,
    type: ChangeType,
    position: Position,
    row: Tuple,
    old?: Tuple,
  ): void {
    if (tenant === null) return;
    const watched = collection.keys.get(tenant);
    const channel = watched ?? { tenant, collection: collection.name };
    const { maxDocumentBytes } = this.#options.settings;
    const isFarBeyond = row.bytes.length > maxDocumentBytes * FAR_BEYOND;
    const documents = isFarBeyond ? undefined : documentsOf(type, encoder, row, old);
    if (documents === undefined || !areWithin(documents, maxDocumentBytes)) {
      this.#lostChannel(channel, "change_too_large");
      return;
    }
    const event: DocumentEvent = {
      channel,
      position,
      committedAtMs: this.#committedAtMs,
      transaction: this.#transaction,
      body: { type, documentId: encoder.documentId(row, old), ...documents },
    };
    this.#options.journal.add(event, this.#atMs);
    if (watched === undefined) return;
    this.#options.stats.changes += 1;
    this.#gathered.add(event, watched);
  }
}

/** Until the catalog is looked at again, a table that was renamed would be told of under the name of another one. */
function requireName({ oid, schema, name }: Relation, table: CapturedTable): void {
  const isNamed = schema === table.name.schema && name === table.name.table;
  if (oid === table.oid && !isNamed) throw new IncompleteRowError("renamed");
}
