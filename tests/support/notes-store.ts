import type { Document } from "mongodb";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { createMongoDatabase, type TestMongoDatabase } from "./mongo.ts";
import type { TestDatabase } from "./postgres.ts";

/** Where notes are, and how changes of them are received. */
export type NotesKind = "notify" | "wal" | "mongodb";

/** What can be changed of a note. */
export interface NoteFields {
  readonly owner: string | null;
  readonly title: string;
  /** Hidden from clients. */
  readonly secret: number | null;
}

/** A table or collection of notes. */
export interface NotesStore {
  readonly sources: NonNullable<ConfigInput["sources"]>;
  add(tenant: string, id: number, note: NoteFields): Promise<void>;
  set(id: number, changes: Partial<NoteFields>): Promise<void>;
  remove(id: number): Promise<void>;
  clear(): Promise<void>;
  drop(): Promise<void>;
}

/** Makes an empty one. @param database - where a table is made; it outlives the store. */
export async function createNotesStore(kind: NotesKind, database: TestDatabase): Promise<NotesStore> {
  if (kind === "mongodb") {
    const mongo = await createMongoDatabase();
    await mongo.createCollection("notes");
    return new MongoNotes(mongo);
  }
  await database.query(
    "create table notes (id int primary key, tenant_id text not null, owner text, title text, secret int)",
  );
  return new PostgresNotes(database, kind);
}

class PostgresNotes implements NotesStore {
  readonly sources: NotesStore["sources"];
  readonly #database: TestDatabase;

  constructor(database: TestDatabase, mode: "notify" | "wal") {
    this.#database = database;
    const collections = { notes: { table: "public.notes", hide: ["secret"] } };
    this.sources = [{ kind: "postgres", mode, collections }];
  }

  async add(tenant: string, id: number, { owner, title, secret }: NoteFields): Promise<void> {
    await this.#database.query("insert into notes values ($1, $2, $3, $4, $5)", [
      id,
      tenant,
      owner,
      title,
      secret,
    ]);
  }

  async set(id: number, changes: Partial<NoteFields>): Promise<void> {
    const names = Object.keys(changes).map((name, index) => `${name} = $${String(index + 2)}`);
    const values: readonly unknown[] = Object.values(changes);
    await this.#database.query(`update notes set ${names.join()} where id = $1`, [id, ...values]);
  }

  async remove(id: number): Promise<void> {
    await this.#database.query("delete from notes where id = $1", [id]);
  }

  async clear(): Promise<void> {
    await this.#database.query("delete from notes");
  }

  async drop(): Promise<void> {
    // It goes with its database.
  }
}

class MongoNotes implements NotesStore {
  readonly sources: NotesStore["sources"];
  readonly #mongo: TestMongoDatabase;

  constructor(mongo: TestMongoDatabase) {
    this.#mongo = mongo;
    const collections = { notes: { collection: "notes", tenantField: "tenant_id", hide: ["secret"] } };
    this.sources = [
      { kind: "postgres", mode: "notify", collections: {} },
      { kind: "mongodb", url: mongo.url, collections },
    ];
  }

  get #notes() {
    return this.#mongo.db.collection<Document & { _id: number }>("notes");
  }

  async add(tenant: string, id: number, note: NoteFields): Promise<void> {
    await this.#notes.insertOne({ _id: id, tenant_id: tenant, ...note });
  }

  async set(id: number, changes: Partial<NoteFields>): Promise<void> {
    await this.#notes.updateOne({ _id: id }, { $set: changes });
  }

  async remove(id: number): Promise<void> {
    await this.#notes.deleteOne({ _id: id });
  }

  async clear(): Promise<void> {
    await this.#notes.deleteMany({});
  }

  drop(): Promise<void> {
    return this.#mongo.drop();
  }
}
