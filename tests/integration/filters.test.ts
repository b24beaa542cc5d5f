import { beforeEach, describe, expect, it } from "vitest";
import { seenUntil, type NoteWatcher } from "../support/note-watcher.ts";
import type { NotesServer } from "../support/notes-server.ts";
import { notesForEachTest } from "../support/notes-world.ts";
import type { TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";

const FENCE = 1000;

describe.each(["notify", "wal"] as const)("filters of clients, mode %s", (mode) => {
  const world = notesForEachTest(mode, { filters: { maxTerms: 20 } });
  let notes: NotesServer;
  let tenant: TestTenant;
  let token: string;

  beforeEach(async () => {
    ({ notes, tenant } = world());
    token = await notes.mint(tenant);
  });

  const add = (id: number, owner: string, title: string): Promise<void> =>
    notes.run(`insert into notes values (${id}, '${tenant.id}', '${owner}', '${title}')`);
  const set = (id: number, assignments: string): Promise<void> =>
    notes.run(`update notes set ${assignments} where id = ${id}`);

  it("tell of documents that begin and cease to match, on every transport", async () => {
    const where = { owner: "ada", id: { $gte: 2 } };
    const watchers: NoteWatcher[] = [
      await notes.sse(tenant.anonKey, { where }),
      await notes.webSocket(token, { where }),
      await notes.sdk(async () => token, { where }),
    ];
    const all = await notes.sse(tenant.anonKey);
    await add(1, "ada", "small");
    await add(2, "eve", "a");
    await set(2, "owner = 'ada'");
    await set(2, "title = 'b'");
    await set(2, "title = 'c', owner = 'eve'");
    await set(1, "id = 3");
    await set(3, "id = 0");
    await add(FENCE, "ada", "fence");
    for (const watcher of watchers) {
      expect([watcher.name, await seenUntil(watcher, FENCE)]).toEqual([
        watcher.name,
        [
          ["insert", 2, "a"],
          ["update", 2, "b"],
          ["delete", 2, "b"],
          ["insert", 3, "small"],
          ["delete", 3, "small"],
          ["insert", FENCE, "fence"],
        ],
      ]);
    }
    await seenUntil(all, FENCE);
    expect(all.client.messages.every((message) => Object.keys(message as object).length === 3)).toBe(true);
  });

  it("are of one meaning however they are written: a connection has one subscription to it", async () => {
    const client = await notes.socket(token);
    const filtered = (where: unknown): { collection: string } =>
      Object.assign({ collection: "notes" }, { where });
    const adas = await client.subscribe("1", filtered({ owner: "ada" }));
    const eves = await client.subscribe("2", filtered({ owner: "eve" }));
    const all = await client.subscribe("3", { collection: "notes" });
    expect(new Set([adas.channel, eves.channel, all.channel]).size).toBe(3);
    client.send({ type: "subscribe", id: "4", ...filtered({ $and: [{ owner: { $in: ["ada"] } }, {}] }) });
    client.send({ type: "subscribe", id: "5", ...filtered({}) });
    await client.waitFor("error", 2);
    expect(client.ofType("error")).toMatchObject([
      { id: "4", code: "duplicate_subscription", message: expect.stringContaining('"1"') },
      { id: "5", code: "duplicate_subscription", message: expect.stringContaining('"3"') },
    ]);
    client.send({ type: "unsubscribe", id: "1" });
    await client.subscribe("4", filtered({ owner: { $eq: "ada" } }));
    await add(1, "eve", "a");
    await set(1, "owner = 'ada'");
    await until(() => client.events(eves.channel).length === 2 && client.events(all.channel).length === 2);
    expect(client.events(eves.channel)).toMatchObject([{ type: "insert" }, { type: "delete" }]);
    expect(client.events(all.channel)).toMatchObject([{ type: "insert" }, { type: "update" }]);
  });

  it("resume from the place of a subscription with another filter", async () => {
    const first = await notes.sse(tenant.anonKey, { where: { owner: "eve" } });
    await add(1, "eve", "a");
    await seenUntil(first, 1);
    first.client.close();
    await add(2, "ada", "b");
    await set(1, "owner = 'ada'");
    await add(FENCE, "ada", "fence");
    const cursor = first.client.lastEventId;
    const second = await notes.sse(tenant.anonKey, { where: { owner: "ada" }, cursor });
    expect(await seenUntil(second, FENCE)).toEqual([
      ["insert", 2, "b"],
      ["insert", 1, "a"],
      ["insert", FENCE, "fence"],
    ]);
    expect(second.client.named("reset")).toEqual([]);
  });

  it("are bounded by the settings", async () => {
    const where = JSON.stringify({ id: { $in: Array.from({ length: 21 }, (_, id) => id) } });
    const refused = await notes.server.subscribe({ collection: "notes", where }, tenant.anonKey);
    await refused.waitForEnd();
    expect(refused.problem).toMatchObject({
      code: "filter_too_large",
      detail: expect.stringContaining("20"),
    });
  });

  it("that are refused say where they are wrong", async () => {
    for (const [where, detail] of [
      ["{", "where is not JSON"],
      ["[]", "where is not an object"],
      ['{"owner":{"$near":1}}', "where.owner.$near"],
      ['{"$or":[{"owner":"a"},{"id":{"$gt":null}}]}', "where.$or[1].id.$gt"],
    ] as const) {
      const refused = await notes.server.subscribe({ collection: "notes", where }, tenant.anonKey);
      await refused.waitForEnd();
      expect(refused.problem).toMatchObject({
        status: 400,
        code: "invalid_filter",
        detail: expect.stringContaining(detail),
      });
    }
  });
});
