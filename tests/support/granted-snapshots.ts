import { expect, it } from "vitest";
import { FENCE } from "./granted-notes.ts";
import { heldUntil, type NoteWatcher } from "./note-watcher.ts";
import type { WatchOptions } from "./notes-server.ts";
import { until } from "./until.ts";
import type { GrantWorld } from "./notes-world.ts";

/** Filters that are true of secrets from 5 on: of the first the database reads less, of the others perhaps not. */
const SECRETS_FROM_FIVE: readonly object[] = [
  { secret: { $gte: 5 } },
  { $or: [{ secret: { $in: [5, 7] } }, { "title.none": 1 }] },
  { secret: { $nin: [0, 4, null] } },
  { $and: [{ secret: { $not: { $lt: 5 } } }, { secret: { $ne: null } }] },
];

/** Snapshots under row-level grants, as they are for every source. @param world - of the test that runs. */
export function itGrantsSnapshots(world: () => GrantWorld): void {
  /** Subscribes on both transports. */
  async function both(token: string, options: WatchOptions = {}): Promise<NoteWatcher[]> {
    const { notes } = world();
    const asked = { ...options, snapshot: true };
    return [await notes.sse(token, asked), await notes.webSocket(token, asked)];
  }

  it("show of the documents, and of what follows, what is granted and asked for", async () => {
    const { notes, tenant, write } = world();
    const other = await notes.server.createTenant(`${tenant.id}-other`);
    await notes.store.add(other.id, 99, { owner: "ada", title: "private 0", secret: 0 });
    await write.add(1, "ada", "a");
    await write.add(2, "eve", "private 1");
    await write.add(3, "ada", "b");
    await write.add(4, "bob", "private 2");
    const mine = await notes.mint(tenant, { owner: "ada" });
    const widening = { $or: [{ owner: "eve" }, { owner: { $ne: "nobody" } }, {}] };
    const watchers = [
      ...(await both(mine)),
      ...(await both(mine, { where: widening })),
      ...(await both(mine, { where: { title: { $exists: true } } })),
    ];
    const narrow = await both(mine, { where: { title: { $in: ["b", "d", "fence"] } } });
    const strangers = await both(mine, { where: { owner: { $ne: "ada" } } });
    for (const watcher of watchers) {
      expect(watcher.held?.()).toEqual([
        [1, "a"],
        [3, "b"],
      ]);
    }
    for (const watcher of narrow) expect(watcher.held?.()).toEqual([[3, "b"]]);
    await write.set(1, { owner: "eve", title: "private 3" });
    await write.set(2, { owner: "ada", title: "c" });
    await write.set(3, { title: "d" });
    await write.remove(4);
    await write.add(5, "eve", "private 4");
    await write.add(FENCE, "ada", "fence");
    for (const watcher of watchers) {
      expect(await heldUntil(watcher, FENCE)).toEqual([
        [2, "c"],
        [3, "d"],
        [FENCE, "fence"],
      ]);
    }
    for (const watcher of narrow) {
      expect(await heldUntil(watcher, FENCE)).toEqual([
        [3, "d"],
        [FENCE, "fence"],
      ]);
    }
    for (const watcher of strangers) expect([watcher.held?.(), watcher.seen()]).toEqual([[], []]);
    for (const watcher of [...watchers, ...narrow, ...strangers]) {
      expect(watcher.wire()).not.toContain("private");
    }
  });

  it.each(SECRETS_FROM_FIVE)("by a hidden field, which nobody sees: %j", async (filter) => {
    const { notes, tenant, write } = world();
    await write.add(1, "x", "a", 5);
    await write.add(2, "x", "private 1", 4);
    await write.add(3, "x", "private 2");
    await write.set(3, { secret: null });
    await write.add(4, "x", "b", 7);
    const granted = await notes.mint(tenant, filter);
    const watchers = [...(await both(granted)), ...(await both(granted, { where: { title: { $gt: "" } } }))];
    for (const watcher of watchers) {
      expect(watcher.held?.()).toEqual([
        [1, "a"],
        [4, "b"],
      ]);
    }
    await write.set(1, { secret: 4, title: "private 3" });
    await write.set(2, { secret: 5, title: "c" });
    await write.add(FENCE, "x", "fence", 5);
    for (const watcher of watchers) {
      expect(await heldUntil(watcher, FENCE)).toEqual([
        [2, "c"],
        [4, "b"],
        [FENCE, "fence"],
      ]);
      expect(watcher.wire()).not.toMatch(/secret|private|idden/);
    }
  });

  it.each<readonly [where: Readonly<Record<string, unknown>>, matches: boolean]>([
    [{ secret: 7 }, false],
    [{ secret: { $gte: 0 } }, false],
    [{ secret: { $exists: true } }, false],
    [{ secret: { $exists: false } }, true],
    [{ secret: null }, true],
    [{ secret: { $ne: 7 } }, true],
    [{ secret: { $not: { $gte: 5 } } }, true],
    [{ $or: [{ secret: 7 }, { title: "none" }] }, false],
  ])("to a client a hidden field is missing: %j", async (where, matches) => {
    const { notes, tenant, write } = world();
    await write.add(1, "x", "a", 7);
    await write.add(2, "x", "b", 0);
    const wanted = { where, snapshot: true };
    const watchers = [
      await notes.sse(tenant.anonKey, wanted),
      await notes.webSocket(await notes.mint(tenant), wanted),
      // A grant for the same field makes it no more visible.
      ...(await both(await notes.mint(tenant, { secret: { $in: [0, 7] } }), { where })),
    ];
    const all = [
      [1, "a"],
      [2, "b"],
    ];
    for (const watcher of watchers) {
      expect([watcher.name, watcher.held?.()]).toEqual([watcher.name, matches ? all : []]);
      expect(watcher.wire()).not.toMatch(/secret|idden/);
    }
  });

  it("of a key and of a token must both hold, and what the client asks for as well", async () => {
    const { notes, tenant, write } = world();
    await write.add(1, "ada", "private 1", 0);
    await write.add(2, "ada", "a", 5);
    await write.add(3, "bob", "b", 5);
    await write.add(4, "eve", "private 2", 5);
    const where = { notes: { owner: { $in: ["ada", "bob"] } } };
    const anon = await notes.server.createKey(tenant.id, {
      role: "anon",
      where: { notes: { owner: { $in: ["ada", "bob"] }, secret: 5 } },
    });
    const secret = await notes.server.createKey(tenant.id, { role: "secret", where });
    const token = await notes.mint({ secretKey: secret.key }, { secret: { $gte: 5 } });
    const watchers = [await notes.sse(anon.key, { snapshot: true }), ...(await both(token))];
    const bobs = [
      await notes.sse(anon.key, { snapshot: true, where: { owner: { $nin: ["ada"] } } }),
      ...(await both(token, { where: { owner: { $gt: "ada" } } })),
    ];
    const held = [
      [2, "a"],
      [3, "b"],
    ];
    for (const watcher of watchers) expect(watcher.held?.()).toEqual(held);
    for (const watcher of bobs) expect(watcher.held?.()).toEqual([[3, "b"]]);
    await write.set(2, { owner: "bob" });
    for (const watcher of bobs) expect(await heldUntil(watcher, 2)).toEqual(held);
    for (const watcher of [...watchers, ...bobs]) expect(watcher.wire()).not.toMatch(/private|secret/);
  });

  it("hold for what was missed after a snapshot", async () => {
    const { notes, tenant, write } = world();
    await write.add(1, "ada", "a");
    await write.add(2, "eve", "private 1");
    await write.add(3, "ada", "b");
    const mine = await notes.mint(tenant, { owner: "ada" });
    const first = await notes.sse(mine, { snapshot: true });
    expect(first.held?.()).toHaveLength(2);
    const cursor = first.client.lastEventId;
    first.client.close();
    await write.set(1, { owner: "eve", title: "private 2" });
    await write.set(2, { owner: "ada", title: "c" });
    await write.remove(3);
    await write.add(4, "eve", "private 3");
    await write.add(FENCE, "ada", "fence");
    const back = await notes.sse(mine, { snapshot: true, cursor });
    await until(() => back.seen().length === 4, { describe: () => back.wire() });
    expect(back.seen()).toEqual([
      ["delete", 1, "a"],
      ["insert", 2, "c"],
      ["delete", 3, "b"],
      ["insert", FENCE, "fence"],
    ]);
    expect([back.client.named("snapshot"), back.client.named("reset")]).toEqual([[], []]);
    expect(back.wire()).not.toContain("private");
  });

  it("of a fresh token show the documents anew, and no other ones", async () => {
    const { notes, tenant, write } = world();
    await write.add(1, "ada", "a");
    await write.add(2, "bob", "b");
    await write.add(3, "eve", "private 1");
    const watcher = await notes.webSocket(await notes.mint(tenant, { owner: "ada" }), { snapshot: true });
    expect(watcher.held?.()).toEqual([[1, "a"]]);
    const { client } = watcher;
    client.send({ type: "auth", token: await notes.mint(tenant, { owner: "bob" }) });
    expect(await heldUntil(watcher, 2)).toEqual([[2, "b"]]);
    await client.waitFor("ready", 2);
    expect(client.messages.map(({ type }) => type)).toEqual([
      "snapshot",
      "ready",
      "reset",
      "snapshot",
      "ready",
    ]);
    await write.set(2, { owner: "ada", title: "private 2" });
    await write.set(1, { owner: "bob", title: "c" });
    expect(await heldUntil(watcher, 1)).toEqual([[1, "c"]]);
    expect(watcher.wire()).not.toContain("private");
  });
}
