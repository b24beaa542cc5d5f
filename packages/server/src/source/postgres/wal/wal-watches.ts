import type { ChannelKey } from "../../change-source.ts";
import type { CapturedTable } from "../table.ts";
import type { Relation } from "./relation.ts";
import type { RowEncoder } from "./row-encoder.ts";

/** A collection that is watched by at least one tenant. */
export class WatchedCollection {
  readonly name: string;
  readonly keys = new Map<string, ChannelKey>();
  /** What documents are made with; made anew when the table changes. */
  #encoders = new WeakMap<Relation, RowEncoder>();
  readonly #types = new Set<number>();
  /** Changes of it could not be made events: nothing more is delivered until all are reset. */
  isBroken = false;
  /** Changes of it may be missing: all are to be reset once it is put right. What arrives is delivered meanwhile. */
  isResetDue = false;
  #table: CapturedTable;

  constructor(name: string, table: CapturedTable) {
    this.name = name;
    this.#table = table;
  }

  /** As it was when its first watch began, or when its subscribers were reset last. */
  get table(): CapturedTable {
    return this.#table;
  }

  set table(table: CapturedTable) {
    this.#table = table;
    this.#encoders = new WeakMap();
    this.#types.clear();
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

  channels(): readonly ChannelKey[] {
    return [...this.keys.values()];
  }
}

const NONE: readonly WatchedCollection[] = [];
const NO_COLUMNS: ReadonlySet<string> = new Set();

/** What is watched, by collection and by the relations that the stream names. */
export class WalWatches {
  readonly #byName = new Map<string, WatchedCollection>();
  /** Partitions are relations of their own in the stream. */
  #byRelation = new Map<number, WatchedCollection[]>();
  /** Hidden columns that filters name, by collection, watched or not. */
  readonly #filtered = new Map<string, ReadonlySet<string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has({ tenant, collection }: ChannelKey): boolean {
    return this.#byName.get(collection)?.keys.has(tenant) === true;
  }

  add({ tenant, collection: name }: ChannelKey, table: CapturedTable): void {
    let collection = this.#byName.get(name);
    if (collection === undefined) {
      collection = new WatchedCollection(name, table);
      this.#byName.set(name, collection);
      this.#index();
    }
    if (collection.keys.has(tenant)) return;
    collection.keys.set(tenant, { tenant, collection: name });
    this.#size += 1;
  }

  remove({ tenant, collection: name }: ChannelKey): void {
    const collection = this.#byName.get(name);
    if (collection?.keys.delete(tenant) !== true) return;
    this.#size -= 1;
    if (collection.keys.size === 0) this.drop(collection);
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

  /** Whether the collection is still watched. */
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
      for (const oid of [collection.table.oid, ...collection.table.partitions]) {
        const others = this.#byRelation.get(oid);
        if (others === undefined) this.#byRelation.set(oid, [collection]);
        else others.push(collection);
      }
    }
  }
}
