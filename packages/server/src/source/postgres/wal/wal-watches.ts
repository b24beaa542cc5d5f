import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../../change-source.ts";
import { isSameHistory } from "../table.ts";
import type { CapturedTable } from "../table.ts";
import { WatchedChannel } from "./gathered-events.ts";
import type { Relation } from "./relation.ts";
import type { RowEncoder } from "./row-encoder.ts";

/** A collection whose changes are received: for the tenants that watch it, and for the journal. */
export class WatchedCollection {
  readonly name: string;
  /** Since where none of its changes is missing. */
  since: Position;
  /** That of its table, see `Enrollment`, since then; undefined until it is known. */
  enrollment: string | undefined;
  /** The channels that are watched. */
  readonly keys = new Map<string, WatchedChannel>();
  /** Partitions that the table, as it was read last, does not have yet. */
  readonly #latePartitions = new Set<number>();
  /** What documents are made with; made anew when the table changes. */
  #encoders = new WeakMap<Relation, RowEncoder>();
  readonly #types = new Set<number>();
  /** Changes of it could not be made events: nothing more is delivered until all are reset. */
  isBroken = false;
  /** Changes of it may be missing: all are to be reset once it is put right. What arrives is delivered meanwhile. */
  isResetDue = false;
  #table: CapturedTable;

  constructor(name: string, table: CapturedTable, since: Position) {
    this.name = name;
    this.since = since;
    this.#table = table;
  }

  get isWatched(): boolean {
    return this.keys.size > 0;
  }

  /** As it was when it was first followed, or when its subscribers were reset last. */
  get table(): CapturedTable {
    return this.#table;
  }

  set table(table: CapturedTable) {
    this.#table = table;
    this.#encoders = new WeakMap();
    this.#types.clear();
    this.#latePartitions.clear();
  }

  addPartition(relationOid: number): void {
    this.#latePartitions.add(relationOid);
  }

  /** All that its rows may be in. */
  get relations(): readonly number[] {
    return [this.#table.oid, ...this.#table.partitions, ...this.#latePartitions];
  }

  encoder(relation: Relation): RowEncoder | undefined {
    return this.#encoders.get(relation);
  }

  addEncoder(relation: Relation, encoder: RowEncoder): void {
    this.#encoders.set(relation, encoder);
    for (const { typeOid } of relation.columns) this.#types.add(typeOid);
  }

  /** Whether documents were made with one of these types. */
  hasType(typeOids: ReadonlySet<number>): boolean {
    return typeOids.size > 0 && [...this.#types].some((oid) => typeOids.has(oid));
  }

  /** Whether changes of a table are what its changes were until now, and none was missed. */
  goesOnWith(table: CapturedTable, enrollment: string | undefined): boolean {
    if (this.isBroken || this.isResetDue || !isSameHistory(this.#table, table)) return false;
    return enrollment !== undefined && enrollment === (this.enrollment ?? enrollment);
  }

  channels(): readonly ChannelKey[] {
    return [...this.keys.values()];
  }
}

const NONE: readonly WatchedCollection[] = [];
const NO_COLUMNS: ReadonlySet<string> = new Set();

/** What is watched, and was, by collection and by the relations that the stream names. */
export class WalWatches {
  readonly #byName = new Map<string, WatchedCollection>();
  /** Partitions are relations of their own in the stream. */
  #byRelation = new Map<number, WatchedCollection[]>();
  /** Hidden columns that filters name, by collection, watched or not. */
  readonly #filtered = new Map<string, ReadonlySet<string>>();
  #size = 0;

  /** How many channels are watched. */
  get size(): number {
    return this.#size;
  }

  /** Whether no collection's changes are received. */
  get isEmpty(): boolean {
    return this.#byName.size === 0;
  }

  get(collection: string): WatchedCollection | undefined {
    return this.#byName.get(collection);
  }

  has({ tenant, collection }: ChannelKey): boolean {
    return this.#byName.get(collection)?.keys.has(tenant) === true;
  }

  /** Receives a collection's changes, watched or not, unless it is received already. */
  follow(table: CapturedTable, since: Position): WatchedCollection {
    let collection = this.#byName.get(table.collection);
    if (collection === undefined) {
      collection = new WatchedCollection(table.collection, table, since);
      this.#byName.set(table.collection, collection);
      this.#index();
    }
    return collection;
  }

  /** @param since - where none is missed, should it not be received yet. */
  add({ tenant, collection: name }: ChannelKey, table: CapturedTable, since: Position): void {
    const collection = this.follow(table, since);
    if (collection.keys.has(tenant)) return;
    collection.keys.set(tenant, new WatchedChannel({ tenant, collection: name }));
    this.#size += 1;
  }

  /** The collection's changes are still received. */
  remove({ tenant, collection: name }: ChannelKey): void {
    if (this.#byName.get(name)?.keys.delete(tenant) === true) this.#size -= 1;
  }

  /** The hidden columns of a collection that filters name. */
  filteredColumns(collection: string): ReadonlySet<string> {
    return this.#filtered.get(collection) ?? NO_COLUMNS;
  }

  addFilteredColumns(collection: string, columns: Iterable<string>): void {
    this.#filtered.set(collection, new Set([...this.filteredColumns(collection), ...columns]));
  }

  drop(collection: WatchedCollection): void {
    if (this.#byName.get(collection.name) !== collection) return;
    this.#size -= collection.keys.size;
    this.#byName.delete(collection.name);
    this.#index();
  }

  /** Whether the collection is still received. */
  isCurrent(collection: WatchedCollection): boolean {
    return this.#byName.get(collection.name) === collection;
  }

  /** The table is not what it was. */
  update(collection: WatchedCollection, table: CapturedTable): void {
    collection.table = table;
    this.#index();
  }

  collections(): readonly WatchedCollection[] {
    return [...this.#byName.values()];
  }

  /** The collections whose rows are in this relation: a table, or a partition of it. */
  on(relationOid: number): readonly WatchedCollection[] {
    return this.#byRelation.get(relationOid) ?? NONE;
  }

  /** A partition that the catalog was not yet read with. */
  addPartition(rootOid: number, partitionOid: number): void {
    const collections = this.on(rootOid);
    for (const collection of collections) collection.addPartition(partitionOid);
    if (collections.length > 0) this.#byRelation.set(partitionOid, [...collections]);
  }

  clear(): void {
    this.#byName.clear();
    this.#byRelation.clear();
    this.#size = 0;
  }

  #index(): void {
    this.#byRelation = new Map();
    for (const collection of this.#byName.values()) {
      for (const oid of new Set(collection.relations)) {
        const others = this.#byRelation.get(oid);
        if (others === undefined) this.#byRelation.set(oid, [collection]);
        else others.push(collection);
      }
    }
  }
}

/** So many channels are a setting. */
export function watchesTooMany(source: string, maxChannels: number): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The source "${source}" watches ${String(maxChannels)} channels already: raise wal.maxWatchedChannels.`,
    { retryAfterSeconds: 30 },
  );
}
