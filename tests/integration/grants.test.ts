import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NotesServer, seenUntil, type NoteWatcher } from "../support/notes-server.ts";
import type { TestTenant } from "../support/realtime-server.ts";
import { signLike } from "../support/realtime-token.ts";
import { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

const FENCE = 1000;

describe.each(["notify", "wal"] as const)("row-level grants, mode %s", (mode) => {
  let notes: NotesServer;
  let tenant: TestTenant;
  let tenants = 0;

  beforeAll(async () => {
    notes = await NotesServer.start(mode);
  });

  beforeEach(async () => {
    tenants += 1;
    tenant = await notes.server.createTenant(`tenant${tenants}`);
    await notes.run("delete from notes");
  });

  afterEach(() => notes?.closeClients());
  afterAll(() => notes?.close());

  /** Of a row: `owner`, `title` and the hidden `secret`. */
  const add = (id: number, owner: string, title: string, secret = 0): Promise<void> =>
    notes.run(`insert into notes values (${id}, '${tenant.id}', '${owner}', '${title}', ${secret})`);
  const set = (id: number, assignments: string): Promise<void> =>
    notes.run(`update notes set ${assignments} where id = ${id}`);
  const remove = (id: number): Promise<void> => notes.run(`delete from notes where id = ${id}`);

  it("show rows that move in and out, on every transport, whatever the client asks for", async () => {
    const mine = await notes.mint(tenant, { owner: "ada" });
    const widening = { $or: [{ owner: "eve" }, { owner: { $ne: "nobody" } }, {}] };
    const watchers: NoteWatcher[] = [
      await notes.sse(mine),
      await notes.sse(mine, { where: widening }),
      await notes.sse(mine, { where: { owner: { $exists: true } } }),
      await notes.webSocket(mine),
      await notes.webSocket(mine, { where: widening }),
      await notes.webSocket(mine, { where: { $or: [{ owner: "eve" }, { owner: "ada" }] } }),
      await notes.raw(mine),
      await notes.sdk(async () => mine),
      await notes.sdk(async () => mine, { where: widening }),
    ];
    const strangers = [
      await notes.sse(mine, { where: { owner: "eve" } }),
      await notes.webSocket(mine, { where: { owner: "eve" } }),
      await notes.sdk(async () => mine, { where: { owner: { $ne: "ada" } } }),
    ];
    await add(1, "eve", "private 1");
    await add(2, "ada", "a");
    await set(1, "title = 'private 2'");
    await set(2, "title = 'b'");
    await set(2, "owner = 'eve', title = 'private 3'");
    await set(2, "title = 'private 4'");
    await set(2, "owner = 'ada', title = 'c'");
    await set(1, "owner = 'ada', title = 'd'");
    await set(1, "owner = null, title = 'private 5'");
    await remove(1);
    await remove(2);
    await add(3, "eve", "private 6");
    await add(FENCE, "ada", "fence");
    for (const watcher of watchers) {
      expect([watcher.name, await seenUntil(watcher, FENCE)]).toEqual([
        watcher.name,
        [
          ["insert", 2, "a"],
          ["update", 2, "b"],
          ["delete", 2, "b"],
          ["insert", 2, "c"],
          ["insert", 1, "d"],
          ["delete", 1, "d"],
          ["delete", 2, "c"],
          ["insert", FENCE, "fence"],
        ],
      ]);
    }
    for (const watcher of [...watchers, ...strangers]) expect(watcher.wire()).not.toContain("private");
    for (const watcher of strangers) expect(watcher.seen()).toEqual([]);
  });

  it("may be about hidden columns, which clients can neither see nor filter on", async () => {
    const granted = await notes.mint(tenant, { secret: { $gte: 5 } });
    const watchers: NoteWatcher[] = [
      await notes.sse(granted),
      await notes.webSocket(granted, { where: { secret: null } }),
      await notes.raw(granted),
      await notes.sdk(async () => granted, { where: { secret: { $exists: false } } }),
    ];
    const guesses = [
      await notes.sse(granted, { where: { secret: { $gte: 5 } } }),
      await notes.sse(tenant.anonKey, { where: { secret: { $exists: true } } }),
      await notes.webSocket(await notes.mint(tenant), { where: { secret: 7 } }),
    ];
    const all = await notes.sse(tenant.anonKey, { where: { secret: { $ne: 7 } } });
    await add(1, "x", "a", 4);
    await add(2, "x", "b", 7);
    await set(1, "secret = 5");
    await set(1, "title = 'c'");
    await set(2, "secret = null, title = 'private'");
    await remove(1);
    await remove(2);
    await add(FENCE, "x", "fence", 7);
    for (const watcher of watchers) {
      expect([watcher.name, await seenUntil(watcher, FENCE)]).toEqual([
        watcher.name,
        [
          ["insert", 2, "b"],
          ["insert", 1, "a"],
          ["update", 1, "c"],
          ["delete", 2, "b"],
          ["delete", 1, "c"],
          ["insert", FENCE, "fence"],
        ],
      ]);
      expect(watcher.wire()).not.toMatch(/secret|private/);
    }
    expect((await seenUntil(all, FENCE)).map(([type, id]) => [type, id])).toEqual([
      ["insert", 1],
      ["insert", 2],
      ["update", 1],
      ["update", 1],
      ["update", 2],
      ["delete", 1],
      ["delete", 2],
      ["insert", FENCE],
    ]);
    expect(all.wire()).not.toMatch(/secret|prior|idden/);
    for (const guess of guesses) expect(guess.seen()).toEqual([]);
  });

  it("of a key hold for itself and for every token that it mints", async () => {
    const where = { notes: { owner: { $in: ["ada", "bob"] } } };
    const anon = await notes.server.createKey(tenant.id, { role: "anon", where });
    const secret = await notes.server.createKey(tenant.id, { role: "secret", where });
    const ofSecret = { secretKey: secret.key };
    const watchers: NoteWatcher[] = [
      await notes.sse(anon.key),
      await notes.sse(secret.key, { where: { $or: [{}, { owner: "eve" }] } }),
      await notes.sse(await notes.mint(ofSecret)),
      await notes.sse(await notes.mint(ofSecret, {})),
      await notes.raw(await notes.mint(ofSecret, { owner: { $exists: true } })),
      await notes.sdk(() => notes.mint(ofSecret, { $or: [{ owner: "eve" }, { owner: { $ne: "eve" } }] })),
    ];
    const bobs = await notes.sse(await notes.mint(ofSecret, { owner: { $in: ["bob", "eve"] } }));
    await add(1, "eve", "private");
    await add(2, "ada", "a");
    await set(2, "owner = 'eve', title = 'private'");
    await set(1, "owner = 'bob', title = 'b'");
    await remove(2);
    await add(FENCE, "bob", "fence");
    for (const watcher of watchers) {
      expect([watcher.name, await seenUntil(watcher, FENCE)]).toEqual([
        watcher.name,
        [
          ["insert", 2, "a"],
          ["delete", 2, "a"],
          ["insert", 1, "b"],
          ["insert", FENCE, "fence"],
        ],
      ]);
    }
    expect(await seenUntil(bobs, FENCE)).toEqual([
      ["insert", 1, "b"],
      ["insert", FENCE, "fence"],
    ]);
  });

  it("of a key that change end its connections, and hold for tokens from before", async () => {
    const { id, key } = await notes.server.createKey(tenant.id, { role: "secret" });
    const token = await notes.mint({ secretKey: key }, { owner: { $in: ["ada", "bob"] } });
    const sse = await notes.sse(token);
    const socket = await notes.webSocket(token);
    const others = await notes.sse(tenant.anonKey);
    const sdk = await notes.sdk(async () => token);
    await notes.database.query("update paperdb.keys set filters = $1 where id = $2", [
      JSON.stringify({ notes: { owner: "bob" } }),
      id,
    ]);
    await sse.client.waitForEnd();
    expect((await socket.client.waitForClose()).code).toBe(4001);
    await until(() => sdk.recorder.resumed.length === 2, {
      describe: () => JSON.stringify(sdk.recorder.statuses),
    });
    const again = await notes.sse(token);
    await add(1, "ada", "private");
    await add(FENCE, "bob", "fence");
    expect(await seenUntil(again, FENCE)).toEqual([["insert", FENCE, "fence"]]);
    expect(await seenUntil(sdk, FENCE)).toEqual([["insert", FENCE, "fence"]]);
    expect(await seenUntil(others, FENCE)).toHaveLength(2);
    await notes.database.query(
      `update paperdb.keys set filters = '{"notes":{"a":{"$near":1}}}' where id = $1`,
      [id],
    );
    await again.client.waitForEnd();
    const url = new URL("/v1/events/subscribe?collection=notes", notes.server.url);
    const refused = await SseClient.open(url, { authorization: `Bearer ${token}` });
    await refused.waitForEnd();
    expect(refused.problem).toMatchObject({ status: 403, code: "forbidden" });
  });

  it("hold when a client resumes with a narrower one", async () => {
    const narrow = await notes.mint(tenant, { owner: "ada" });
    // From the first filter on all is known that filters need; a place before that would be a reset.
    await notes.sse(narrow);
    const wide = await notes.sse(tenant.anonKey);
    await add(1, "ada", "a");
    await seenUntil(wide, 1);
    const cursor = wide.client.lastEventId;
    wide.client.close();
    await set(1, "title = 'b'");
    await add(2, "eve", "private 1");
    await set(1, "owner = 'eve', title = 'private 2'");
    await set(2, "owner = 'ada', title = 'c'");
    await remove(1);
    await add(FENCE, "ada", "fence");
    const first = await notes.sse(narrow, { cursor });
    expect(await seenUntil(first, FENCE)).toEqual([
      ["update", 1, "b"],
      ["delete", 1, "b"],
      ["insert", 2, "c"],
      ["insert", FENCE, "fence"],
    ]);
    expect([first.client.named("reset"), first.wire().includes("private")]).toEqual([[], false]);
    const place = first.client.lastEventId;
    first.client.close();
    await set(2, "owner = 'eve', title = 'private 3'");
    await add(FENCE + 1, "ada", "fence");
    const second = await notes.sse(narrow, { cursor: place });
    expect(await seenUntil(second, FENCE + 1)).toEqual([
      ["delete", 2, "c"],
      ["insert", FENCE + 1, "fence"],
    ]);
    expect(second.client.named("reset")).toEqual([]);
  });

  it("of a fresh token replace those of the connection: what shows other documents begins anew", async () => {
    const { client } = await notes.webSocket(await notes.mint(tenant, { owner: "ada" }));
    const topic = await client.subscribe("t", { topic: "t" });
    client.send({ type: "auth", token: await notes.mint(tenant, { $and: [{ owner: { $eq: "ada" } }] }) });
    await client.subscribe("after", { topic: "u" });
    await add(1, "ada", "a");
    await client.waitFor("event");
    expect([client.ofType("reset"), client.ofType("ready").length]).toEqual([[], 3]);
    client.send({ type: "auth", token: await notes.mint(tenant, { owner: "bob" }) });
    const reset = await client.waitFor("reset");
    expect(reset).toEqual({ type: "reset", id: "1", reason: "grant_changed" });
    const ready = await client.waitFor("ready", 4);
    expect(ready).toMatchObject({ id: "1", resumed: false });
    await add(2, "ada", "private");
    await set(1, "owner = 'bob', title = 'b'");
    await notes.server.publish(tenant.secretKey, { topic: "t", data: 1 });
    await until(() => client.events(ready.channel).length > 0 && client.events(topic.channel).length > 0);
    expect(client.events(ready.channel)).toMatchObject([{ type: "insert", documentId: "1" }]);
    expect(client.texts.join()).not.toContain("private");
    expect(client.ofType("reset")).toHaveLength(1);
    expect(client.ofType("error")).toEqual([]);
  });

  it("cannot be forged", async () => {
    const token = await notes.mint(tenant, { owner: "ada" });
    const forged = await signLike(token, "another secret of thirty-two characters", { without: ["filters"] });
    const refusal = await WebSocketClient.refused(notes.server.url, { token: forged });
    expect(refusal).toMatchObject({ status: 401, code: "token_invalid" });
  });
});

it.each(["notify", "wal"] as const)(
  "what was written before somebody needed hidden columns is never taken for a match, mode %s",
  async (mode) => {
    const notes = await NotesServer.start(mode);
    try {
      const tenant = await notes.server.createTenant("first");
      const add = (id: number, title: string, secret: number): Promise<void> =>
        notes.run(`insert into notes values (${id}, 'first', 'ada', '${title}', ${secret})`);
      const all = await notes.sse(tenant.anonKey);
      const cursor = all.client.lastEventId;
      await add(1, "private 1", 7);
      await add(2, "private 2", 8);
      await notes.run("update notes set secret = 7 where id = 2", "delete from notes where id = 1");
      await until(() => all.seen().length === 4);
      // A missing field is not 7.
      const token = await notes.mint(tenant, { secret: { $nin: [7, 8] } });
      const granted = await notes.sse(token, { cursor });
      const raw = await notes.raw(token);
      await add(3, "private 3", 7);
      await notes.run("update notes set secret = 9, title = 'seen' where id = 3");
      await add(FENCE, "fence", 0);
      for (const watcher of [granted, raw]) {
        expect(await seenUntil(watcher, FENCE)).toEqual([
          ["insert", 3, "seen"],
          ["insert", FENCE, "fence"],
        ]);
        expect(watcher.wire()).not.toContain("private");
      }
    } finally {
      await notes.close();
    }
  },
);
