import { expect, it } from "vitest";
import { seenUntil, type NoteWatcher } from "./note-watcher.ts";
import type { GrantWorld } from "./notes-world.ts";
import { SseClient } from "./sse-client.ts";
import { until } from "./until.ts";

/** The note that all who may see it wait for, at the end. */
export const FENCE = 1000;

/** Row-level grants, as they are for every source. @param world - of the test that runs. */
export function itGrantsNotes(world: () => GrantWorld): void {
  it("show documents that move in and out, on every transport, whatever the client asks for", async () => {
    const { notes, tenant, write } = world();
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
    await write.add(1, "eve", "private 1");
    await write.add(2, "ada", "a");
    await write.set(1, { title: "private 2" });
    await write.set(2, { title: "b" });
    await write.set(2, { owner: "eve", title: "private 3" });
    await write.set(2, { title: "private 4" });
    await write.set(2, { owner: "ada", title: "c" });
    await write.set(1, { owner: "ada", title: "d" });
    await write.set(1, { owner: null, title: "private 5" });
    await write.remove(1);
    await write.remove(2);
    await write.add(3, "eve", "private 6");
    await write.add(FENCE, "ada", "fence");
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

  it("may be about hidden fields, which clients can neither see nor filter on", async () => {
    const { notes, tenant, write } = world();
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
    await write.add(1, "x", "a", 4);
    await write.add(2, "x", "b", 7);
    await write.set(1, { secret: 5 });
    await write.set(1, { title: "c" });
    await write.set(2, { secret: null, title: "private" });
    await write.remove(1);
    await write.remove(2);
    await write.add(FENCE, "x", "fence", 7);
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
    const { notes, tenant, write } = world();
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
    await write.add(1, "eve", "private");
    await write.add(2, "ada", "a");
    await write.set(2, { owner: "eve", title: "private" });
    await write.set(1, { owner: "bob", title: "b" });
    await write.remove(2);
    await write.add(FENCE, "bob", "fence");
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
    const { notes, tenant, write } = world();
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
    await write.add(1, "ada", "private");
    await write.add(FENCE, "bob", "fence");
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
    const { notes, tenant, write } = world();
    const narrow = await notes.mint(tenant, { owner: "ada" });
    // From the first filter on all is known that filters need; a place before that would be a reset.
    await notes.sse(narrow);
    const wide = await notes.sse(tenant.anonKey);
    await write.add(1, "ada", "a");
    await seenUntil(wide, 1);
    const cursor = wide.client.lastEventId;
    wide.client.close();
    await write.set(1, { title: "b" });
    await write.add(2, "eve", "private 1");
    await write.set(1, { owner: "eve", title: "private 2" });
    await write.set(2, { owner: "ada", title: "c" });
    await write.remove(1);
    await write.add(FENCE, "ada", "fence");
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
    await write.set(2, { owner: "eve", title: "private 3" });
    await write.add(FENCE + 1, "ada", "fence");
    const second = await notes.sse(narrow, { cursor: place });
    expect(await seenUntil(second, FENCE + 1)).toEqual([
      ["delete", 2, "c"],
      ["insert", FENCE + 1, "fence"],
    ]);
    expect(second.client.named("reset")).toEqual([]);
  });

  it("of a fresh token replace those of the connection: what shows other documents begins anew", async () => {
    const { notes, tenant, write } = world();
    const { client } = await notes.webSocket(await notes.mint(tenant, { owner: "ada" }));
    const topic = await client.subscribe("t", { topic: "t" });
    client.send({ type: "auth", token: await notes.mint(tenant, { $and: [{ owner: { $eq: "ada" } }] }) });
    await client.subscribe("after", { topic: "u" });
    await write.add(1, "ada", "a");
    await client.waitFor("event");
    expect([client.ofType("reset"), client.ofType("ready").length]).toEqual([[], 3]);
    client.send({ type: "auth", token: await notes.mint(tenant, { owner: "bob" }) });
    const reset = await client.waitFor("reset");
    expect(reset).toEqual({ type: "reset", id: "1", reason: "grant_changed" });
    const ready = await client.waitFor("ready", 4);
    expect(ready).toMatchObject({ id: "1", resumed: false });
    await write.add(2, "ada", "private");
    await write.set(1, { owner: "bob", title: "b" });
    await notes.server.publish(tenant.secretKey, { topic: "t", data: 1 });
    await until(() => client.events(ready.channel).length > 0 && client.events(topic.channel).length > 0);
    expect(client.events(ready.channel)).toMatchObject([{ type: "insert", documentId: "1" }]);
    expect(client.texts.join()).not.toContain("private");
    expect(client.ofType("reset")).toHaveLength(1);
    expect(client.ofType("error")).toEqual([]);
  });
}
