import type { Image } from "./image.ts";
import type { CollectionPlan, PlannedValue } from "./plan.ts";

/** A document to write. */
export interface RowWrite {
  /** A number of the document's own, which its key is made of. */
  readonly key: number;
  readonly mark: number;
  /** By column; those that are not there stay as they are. */
  readonly values: Readonly<Record<string, PlannedValue>>;
}

/** A document to change, and as it is. */
export interface RowChange extends RowWrite {
  readonly before: Image;
  /** Another key from now on. */
  readonly newKey?: number;
  /** Whether the database is told only what changes. */
  readonly isPartial?: boolean;
}

/** A transaction that is open. What it returns are the documents as they are then, in the order of their changes. */
export interface StoreTransaction {
  insert(collection: CollectionPlan, rows: readonly RowWrite[]): Promise<readonly Image[]>;
  /** Those that are not there any more are left out. */
  update(collection: CollectionPlan, rows: readonly RowChange[]): Promise<readonly Image[]>;
  /** Resolves with the marks of those that were there. */
  remove(collection: CollectionPlan, rows: readonly Image[]): Promise<readonly number[]>;
  truncate(collection: CollectionPlan): Promise<void>;
  publish(tenant: string, mark: number): Promise<void>;
  savepoint(name: string): Promise<void>;
  rollbackTo(name: string): Promise<void>;
  release(name: string): Promise<void>;
  commit(): Promise<void>;
  /** Does nothing where the connection is lost. */
  rollback(): Promise<void>;
}

/** The application's own database: what the product is compared with, by plain clients. */
export interface Store {
  create(collection: CollectionPlan): Promise<void>;
  begin(id: number): Promise<StoreTransaction>;
  /** Of a transaction whose commit was not answered; waits until the database can say. */
  wasCommitted(id: number): Promise<boolean>;
  /** The transactions that were committed, in that order. */
  fetchCommitOrder(): Promise<readonly number[]>;
  fetchAll(collection: CollectionPlan): Promise<readonly Image[]>;
  /** Whether an error is the database's absence, or a conflict of writers: the transaction did not take effect. */
  isExpected(error: unknown): boolean;
  close(): Promise<void>;
}
