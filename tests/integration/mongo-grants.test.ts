import { afterAll, afterEach, beforeAll, beforeEach, describe } from "vitest";
import { itGrantsNotes, NoteWriter, type GrantWorld } from "../support/granted-notes.ts";
import { itGrantsSnapshots } from "../support/granted-snapshots.ts";
import { NotesServer } from "../support/notes-server.ts";
import type { TestTenant } from "../support/realtime-server.ts";

describe("row-level grants, MongoDB", () => {
  let notes: NotesServer;
  let tenant: TestTenant;
  let write: NoteWriter;
  let tenants = 0;

  beforeAll(async () => {
    notes = await NotesServer.start("mongodb");
  });

  beforeEach(async () => {
    tenants += 1;
    await notes.store.clear();
    tenant = await notes.server.createTenant(`tenant${tenants}`);
    write = new NoteWriter(notes, tenant);
  });

  afterEach(() => notes?.closeClients());
  afterAll(() => notes?.close());

  const world = (): GrantWorld => ({ notes, tenant, write });
  itGrantsNotes(world);
  itGrantsSnapshots(world);
});
