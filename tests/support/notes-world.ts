import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { NoteWatcher } from "./note-watcher.ts";
import { NotesServer } from "./notes-server.ts";
import type { NoteFields } from "./notes-store.ts";
import type { TestTenant } from "./realtime-server.ts";
import { until } from "./until.ts";

/** A server, and a tenant that is this test's own. */
export interface GrantWorld {
  readonly notes: NotesServer;
  readonly tenant: TestTenant;
  /** Changes notes of the tenant, and waits until each change has come: it is seen as it was then. */
  readonly write: NoteWriter;
}

/** Writes one change after the other. */
class NoteWriter {
  readonly #notes: NotesServer;
  readonly #tenant: TestTenant;
  #witness: NoteWatcher | undefined;

  constructor(notes: NotesServer, tenant: TestTenant) {
    this.#notes = notes;
    this.#tenant = tenant;
  }

  add(id: number, owner: string, title: string, secret = 0): Promise<void> {
    return this.#then(() => this.#notes.store.add(this.#tenant.id, id, { owner, title, secret }));
  }

  set(id: number, changes: Partial<NoteFields>): Promise<void> {
    return this.#then(() => this.#notes.store.set(id, changes));
  }

  remove(id: number): Promise<void> {
    return this.#then(() => this.#notes.store.remove(id));
  }

  async #then(change: () => Promise<void>): Promise<void> {
    const witness = (this.#witness ??= await this.#notes.sse(this.#tenant.anonKey));
    const before = witness.seen().length;
    await change();
    await until(() => witness.seen().length > before, { describe: "a change that is seen" });
  }
}

/**
 * A server for the tests of the block that calls it, and for each of them no notes and a tenant of its own.
 *
 * @param start - what the server is started with.
 * @returns the world of the test that runs.
 */
export function notesForEachTest(...start: Parameters<typeof NotesServer.start>): () => GrantWorld {
  let notes: NotesServer | undefined;
  let world: GrantWorld | undefined;
  let tenants = 0;

  beforeAll(async () => {
    notes = await NotesServer.start(...start);
  });

  beforeEach(async () => {
    if (notes === undefined) throw new Error("The server has not started.");
    tenants += 1;
    await notes.store.clear();
    const tenant = await notes.server.createTenant(`tenant${String(tenants)}`);
    world = { notes, tenant, write: new NoteWriter(notes, tenant) };
  });

  afterEach(() => notes?.closeClients());
  afterAll(() => notes?.close());

  return () => {
    if (world === undefined) throw new Error("There is a world while a test runs only.");
    return world;
  };
}
