import type { RawFilter } from "../support/filters.ts";

/** Where the documents live, and how their changes are received. */
export type SourceKind = "wal" | "notify" | "mongodb";

/** A value of a document, as a plan has it: PostgreSQL casts it, for MongoDB it is made by its column's type. */
export type PlannedValue =
  string | number | boolean | null | readonly unknown[] | { readonly [name: string]: unknown };

/** A column or field that random values are written to. */
export interface ColumnPlan {
  readonly name: string;
  /** As SQL declares it, or a type of BSON. */
  readonly type: string;
  readonly values: readonly PlannedValue[];
  /** Never delivered. */
  readonly hidden: boolean;
}

/** How documents are identified: `composite` is of a region and a number. */
export type KeyKind = "number" | "text" | "composite";

/** A table or a collection of MongoDB. */
export interface CollectionPlan {
  readonly name: string;
  readonly keyKind: KeyKind;
  readonly tenantColumn: string;
  readonly columns: readonly ColumnPlan[];
  /** Whether large texts are stored out of line and uncompressed (PostgreSQL). */
  readonly isBodyExternal: boolean;
  /** Whether it is a table in parts, by region (PostgreSQL, of composite keys). */
  readonly isPartitioned: boolean;
  /** Made when so much work is done; 0: there from the start. */
  readonly madeAt: number;
}

/** One document's part of a write. A slot is a writer's own place for a document. */
export interface SlotWrite {
  readonly slot: number;
  /** Of a new document; null: nobody's. */
  readonly tenant: string | null;
  readonly values: Readonly<Record<string, PlannedValue>>;
  /** Characters of a new `body`; undefined leaves it as it is. */
  readonly bodyLength: number | undefined;
}

/** One statement of a transaction. */
export type Step =
  /** Changes those that are there, and makes the others. */
  | { readonly kind: "write"; readonly collection: string; readonly rows: readonly SlotWrite[] }
  | { readonly kind: "delete"; readonly collection: string; readonly slots: readonly number[] }
  | {
      readonly kind: "move";
      readonly collection: string;
      readonly slot: number;
      readonly tenant: string | null;
    }
  /** Changes some of a document, and never touches it again (MongoDB). */
  | {
      readonly kind: "finish";
      readonly collection: string;
      readonly slot: number;
      readonly values: Readonly<Record<string, PlannedValue>>;
    }
  | { readonly kind: "rekey"; readonly collection: string; readonly slot: number }
  | { readonly kind: "truncate"; readonly collection: string }
  | { readonly kind: "publish"; readonly tenant: string }
  | { readonly kind: "savepoint" }
  | { readonly kind: "rollback_to" }
  | { readonly kind: "release" };

/** One transaction of a writer. */
export interface TransactionPlan {
  /** Unique in the world. */
  readonly id: number;
  readonly pauseMs: number;
  readonly steps: readonly Step[];
  /** How long it stays open before its end. */
  readonly holdMs: number;
  readonly commits: boolean;
}

/** What one of the writers that run at the same time does. */
export interface WriterPlan {
  readonly lane: number;
  readonly transactions: readonly TransactionPlan[];
}

/** How a subscriber is granted its documents. */
export interface GrantPlan {
  /** Of the key that it uses, or that mints its tokens. */
  readonly keyWhere: RawFilter | undefined;
  /** Undefined: it uses the key itself. */
  readonly token: { readonly filter: RawFilter | undefined; readonly seconds: number } | undefined;
}

/** A subscriber leaves when so much work is done, and stays away for some. */
export interface AbsencePlan {
  readonly at: number;
  readonly work: number;
}

/** One subscriber to a collection, or (`collection` undefined) to the topics. */
export interface SubscriberPlan {
  readonly name: string;
  readonly client: "sse" | "sdk" | "list";
  readonly tenant: string;
  readonly collection: string | undefined;
  readonly where: RawFilter | undefined;
  readonly grant: GrantPlan;
  readonly snapshot: boolean;
  /** Comes when so much work is done. */
  readonly from: number;
  readonly absences: readonly AbsencePlan[];
  /** Whether it begins anew after each absence, without a cursor (SSE). */
  readonly forgets: boolean;
}

/** What goes wrong. */
export type FaultKind =
  | "server_killed"
  | "server_restarted"
  | "server_replaced"
  | "database_killed"
  | "backends_terminated"
  | "slot_dropped"
  | "oplog_rolled"
  | "network_cut";

/** Something that goes wrong when so much work is done, and is put right after some more. */
export interface FaultPlan {
  readonly kind: FaultKind;
  readonly at: number;
  readonly work: number;
}

/** All that a world consists of, in order: a pure function of source, seed and size. */
export interface WorldPlan {
  readonly source: SourceKind;
  readonly seed: number;
  readonly size: number;
  readonly tenants: readonly string[];
  /** Events of a channel that a client can resume from; undefined: all of the world's. */
  readonly historyEvents: number | undefined;
  readonly collections: readonly CollectionPlan[];
  readonly writers: readonly WriterPlan[];
  /** What is written after all, one after the other. */
  readonly fences: readonly WriterPlan[];
  readonly subscribers: readonly SubscriberPlan[];
  readonly faults: readonly FaultPlan[];
  /** Transactions of all writers. */
  readonly work: number;
}
