import type { AnyBulkWriteOperation, Document } from "mongodb";
import type { Image } from "./image.ts";
import { imageOf, toBson } from "./mongo-values.ts";
import type { CollectionPlan, PlannedValue } from "./plan.ts";
import type { RowChange, RowWrite, StoreTransaction } from "./store.ts";

type Write = AnyBulkWriteOperation;

/** What happens to the documents of one collection, one write after the other. */
export interface MongoStep {
  readonly collection: string;
  readonly writes: readonly Write[];
}

/** How a transaction takes effect. */
export interface MongoCommit {
  /** Resolves once it has taken effect, whatever the database went through. */
  commit(steps: readonly MongoStep[]): Promise<void>;
  /** The document as it was stored, by its mark. */
  readonly stored: Map<number, Document>;
}

/**
 * Gathers what a transaction does; the database hears of it at the end. A document is changed in part as the last of all
 * that happens to it only: the stand-in looks it up when the event is read, and might find a later one.
 */
export class MongoTransaction implements StoreTransaction {
  readonly #target: MongoCommit;
  readonly #steps: MongoStep[] = [];

  constructor(target: MongoCommit) {
    this.#target = target;
  }

  insert(collection: CollectionPlan, rows: readonly RowWrite[]): Promise<readonly Image[]> {
    const documents = rows.map(({ key, mark, values }) => ({
      _id: idOf(collection, key) as never,
      ...bsonOf(collection, values),
      mark,
    }));
    this.#add(
      collection,
      documents.map((document) => ({ insertOne: { document } })),
    );
    return Promise.resolve(documents.map((document) => this.#keep(collection, document)));
  }

  update(collection: CollectionPlan, rows: readonly RowChange[]): Promise<readonly Image[]> {
    const documents = rows.map(({ before, mark, values }) => ({
      ...this.#target.stored.get(before.mark),
      ...bsonOf(collection, values),
      mark,
    }));
    const writes = documents.map(({ _id, ...replacement }: Document, index): Write => {
      const { isPartial = false, mark, values } = rows[index] ?? { mark: 0, values: {} };
      if (!isPartial) return { replaceOne: { filter: { _id }, replacement } };
      return { updateOne: { filter: { _id }, update: { $set: { ...bsonOf(collection, values), mark } } } };
    });
    this.#add(collection, writes);
    return Promise.resolve(documents.map((document) => this.#keep(collection, document)));
  }

  remove(collection: CollectionPlan, rows: readonly Image[]): Promise<readonly number[]> {
    this.#add(
      collection,
      rows.map(({ mark }) => ({ deleteOne: { filter: { _id: this.#target.stored.get(mark)?.["_id"] } } })),
    );
    return Promise.resolve(rows.map(({ mark }) => mark));
  }

  commit(): Promise<void> {
    return this.#target.commit(this.#steps);
  }

  rollback(): Promise<void> {
    return Promise.resolve();
  }

  truncate = notSupported;
  publish = notSupported;
  savepoint = notSupported;
  rollbackTo = notSupported;
  release = notSupported;

  #add({ name }: CollectionPlan, writes: readonly Write[]): void {
    this.#steps.push({ collection: name, writes });
  }

  #keep(collection: CollectionPlan, document: Document): Image {
    const image = imageOf(collection, document);
    this.#target.stored.set(image.mark, document);
    return image;
  }
}

function notSupported(): Promise<never> {
  return Promise.reject(new Error("MongoDB has nothing like that."));
}

function idOf({ keyKind }: CollectionPlan, key: number): unknown {
  if (keyKind === "number") return key;
  if (keyKind === "text") return `k${String(key)}`;
  return { r: key % 2 === 0 ? "n" : "s", n: key };
}

function bsonOf(
  { columns }: CollectionPlan,
  values: Readonly<Record<string, PlannedValue>>,
): Readonly<Record<string, unknown>> {
  const types = new Map(columns.map(({ name, type }) => [name, type]));
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, toBson(types.get(name) ?? "text", value)]),
  );
}
