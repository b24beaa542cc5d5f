import { beforeEach, describe, expect, it } from "vitest";
import { seenUntil } from "../support/note-watcher.ts";
import { NotesServer } from "../support/notes-server.ts";
import { notesForEachTest } from "../support/notes-world.ts";
import type { TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

const FENCE = 1000;

describe.each(["notify", "wal"] as const)("columns that a grant names, mode %s", (mode) => {
  const world = notesForEachTest(mode);
  let notes: NotesServer;
  let tenant: TestTenant;

  beforeEach(() => {
    ({ notes, tenant } = world());
  });

  const add = (id: number, owner: string, title: string): Promise<void> =>
    notes.run(`insert into notes values (${id}, '${tenant.id}', '${owner}', '${title}', 0)`);

  it.each<readonly [string, object]>([
    ["is not equal", { ovner: { $ne: "eve" } }],
    ["is missing", { ovner: { $exists: false } }],
    ["is none of them", { $or: [{ owner: "ada" }, { "ovner.name": { $nin: ["eve"] } }] }],
  ])(
    "and that the table does not have, which %s: nothing is granted, and the answer says why",
    async (_name, filter) => {
      const token = await notes.mint(tenant, filter);
      const url = { collection: "notes" };
      for (const snapshot of [{}, { snapshot: "true" }]) {
        const refused = await notes.server.subscribe({ ...url, ...snapshot }, undefined, {
          authorization: `Bearer ${token}`,
        });
        await refused.waitForEnd();
        expect(refused.problem).toMatchObject({
          status: 403,
          code: "forbidden",
          detail: expect.stringContaining('"ovner"'),
        });
      }
      const raw = await WebSocketClient.refused(notes.server.url, { token, protocol: undefined });
      expect(raw).toMatchObject({ status: 403, code: "forbidden" });
      const socket = await notes.socket(token);
      socket.send({ type: "subscribe", id: "1", collection: "notes", snapshot: true });
      expect(await socket.waitFor("error")).toMatchObject({ id: "1", code: "forbidden", retryable: false });
    },
  );

  it("and that may have no value at all: nothing is granted, and it is no error", async () => {
    const none = await notes.sse(await notes.mint(tenant, { owner: { $in: [] } }), { snapshot: true });
    const all = await notes.sse(await notes.mint(tenant, { owner: { $nin: [] } }));
    await add(1, "ada", "private");
    await notes.run("update notes set owner = null, title = 'private'");
    await add(FENCE, "ada", "fence");
    expect(await seenUntil(all, FENCE)).toHaveLength(3);
    expect([none.seen(), none.held?.()]).toEqual([[], []]);
  });

  it("may be added, and named from then on", async () => {
    await notes.run("alter table notes add column archived boolean");
    const token = await notes.mint(tenant, { archived: { $ne: true } });
    const watcher = await notes.sse(token);
    await add(1, "ada", "a");
    await notes.run("update notes set archived = true where id = 1");
    await add(FENCE, "ada", "fence");
    expect(await seenUntil(watcher, FENCE)).toEqual([
      ["insert", 1, "a"],
      ["delete", 1, "a"],
      ["insert", FENCE, "fence"],
    ]);
    await notes.run("alter table notes drop column archived");
    await watcher.client.waitForEvent("reset");
  });

  it("may go: nothing more is shown, and those who watch are reset", async () => {
    await notes.run("alter table notes add column state text");
    const token = await notes.mint(tenant, { state: { $ne: "secret" } });
    const granted = await notes.sse(token);
    const raw = await notes.raw(token);
    const socket = await notes.socket(token);
    socket.send({ type: "subscribe", id: "1", collection: "notes", snapshot: true });
    await socket.waitFor("ready");
    const all = await notes.sse(tenant.anonKey);
    await add(1, "ada", "a");
    await seenUntil(granted, 1);
    await notes.run(
      "alter table notes rename column state to status",
      `insert into notes values (2, '${tenant.id}', 'ada', 'private 1', 0, 'secret')`,
      "alter table notes drop column status",
      "update notes set title = 'private 2' where id = 2",
    );
    await granted.client.waitForEvent("reset");
    await raw.client.waitForClose();
    expect(await socket.waitFor("error")).toMatchObject({ id: "1", code: "forbidden" });
    await add(FENCE, "ada", "private 3");
    await until(() => all.wire().includes("private 3"));
    for (const wire of [granted.wire(), raw.wire(), socket.texts.join()])
      expect(wire).not.toContain("private");
  });

  it("are not asked of clients, who may ask for what there is not", async () => {
    const watcher = await notes.sse(tenant.anonKey, { where: { ovner: { $ne: "eve" } } });
    await add(FENCE, "ada", "fence");
    expect(await seenUntil(watcher, FENCE)).toEqual([["insert", FENCE, "fence"]]);
  });
});

it.each(["notify", "wal"] as const)("a hidden column that is renamed is not shown, mode %s", async (mode) => {
  const notes = await NotesServer.start(mode);
  try {
    const tenant = await notes.server.createTenant("first");
    const all = await notes.sse(tenant.anonKey);
    await notes.run("insert into notes values (1, 'first', 'ada', 'a', 4711)");
    await seenUntil(all, 1);
    await notes.run(
      "alter table notes rename column secret to secrets",
      "insert into notes values (2, 'first', 'ada', 'b', 4712)",
      "update notes set title = 'c' where id = 1",
      "delete from notes where id = 2",
    );
    await all.client.waitForEnd();
    expect(all.wire()).not.toMatch(/471\d/);
  } finally {
    await notes.close();
  }
});
