import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FIRST_LARGE_ID, SnapshotServer } from "../support/snapshot-server.ts";
import { pauseInSnapshot, SnapshotSubscription } from "../support/snapshot-subscription.ts";
import { until } from "../support/until.ts";

const MEBIBYTE = 1024 * 1024;

describe.each(["notify", "wal"] as const)("a snapshot by WebSocket, mode %s", (mode) => {
  let world: SnapshotServer;

  beforeAll(async () => {
    world = await SnapshotServer.start(mode, {
      snapshots: { batchRows: 10, maxBufferedBytes: 16 * MEBIBYTE },
      notify: { maxDocumentBytes: MEBIBYTE },
      wal: { maxDocumentBytes: MEBIBYTE },
    });
  });

  afterEach(() => world?.closeClients());
  afterAll(() => world?.close());

  const people = (count: number): string[] => Array.from({ length: count }, () => "ada");

  it("sends the documents in batches, ready, and then the changes", async () => {
    const table = await world.createTable(people(25));
    await world.add(table, 99, "eve", "other");
    const client = await world.open([table]);
    const all = await new SnapshotSubscription(client, "1", table).ready();
    expect(all.steps).toEqual(["snapshot", "snapshot", "snapshot", "ready new"]);
    expect(all.documents.size).toBe(25);
    await world.run(`update ${table} set n = 2 where id = 7; delete from ${table} where id = 8`);
    await world.add(table, 26);
    await all.waitFor(() => all.steps.length === 7, "3 events");
    expect(all.documents.get("7")).toEqual({ id: 7, tenant_id: "acme", n: 2, owner: "ada", body: null });
    expect([all.documents.has("8"), all.documents.has("26"), all.documents.size]).toEqual([false, true, 25]);
    expect(new Set(client.ofType("snapshot").map(({ channel }) => channel))).toEqual(new Set([all.channel]));
  });

  it("sends one without documents of a collection that has none, or none that match", async () => {
    const table = await world.createTable(["ada"]);
    const empty = await world.createTable();
    const client = await world.open([table, empty]);
    const none = await new SnapshotSubscription(client, "1", empty).ready();
    const unmatched = await new SnapshotSubscription(client, "2", table, { where: { owner: "eve" } }).ready();
    for (const { steps, documents } of [none, unmatched]) {
      expect([steps, documents.size]).toEqual([["snapshot", "ready new"], 0]);
    }
    expect(client.ofType("snapshot")).toMatchObject([
      { id: "1", documents: [], documentIds: [] },
      { id: "2", documents: [], documentIds: [] },
    ]);
  });

  it("sends the changes that the documents do not have before ready, without a cursor", async () => {
    const table = await world.createTable(people(5), ["ada"]);
    const witness = await world.sse({ collection: table });
    await witness.waitForEvent("ready");
    const client = await world.open([table]);
    const readOn = pauseInSnapshot(client);
    const all = new SnapshotSubscription(client, "1", table);
    await all.waitFor(() => all.steps.length > 0, "a snapshot");
    await world.run(`update ${table} set n = 2 where id = 1`);
    await world.run(`update ${table} set tenant_id = 'other', n = 2 where id = 2`);
    await world.run(`delete from ${table} where id = 3`);
    await world.add(table, 6);
    await world.run(`update ${table} set n = 2 where id = 6; update ${table} set id = 7 where id = 4`);
    await witness.waitForMessages(7);
    expect(all.steps).not.toContain("ready new");
    readOn();
    await all.ready();
    expect(all.phases).toEqual(["snapshot", "early event", "ready new"]);
    expect(all.steps.filter((step) => step === "early event")).toHaveLength(7);
    await world.run(`update ${table} set n = 3 where id = 1`);
    await all.waitFor(() => all.steps.includes("event"), "an event");
    const small = all.ids.filter((id) => Number(id) < FIRST_LARGE_ID);
    expect(small.map((id) => [id, all.documents.get(id)?.["n"]])).toEqual([
      ["1", 3],
      ["5", 1],
      ["6", 2],
      ["7", 1],
    ]);
    expect(all.documents.size).toBe(await world.count(table));
  });

  it("gives way to a usable cursor, and follows the reset of another", async () => {
    const table = await world.createTable(["ada"]);
    const client = await world.open([table]);
    const first = await new SnapshotSubscription(client, "1", table).ready();
    const { cursor } = first;
    client.send({ type: "unsubscribe", id: "1" });
    await world.add(table, 2);
    const resumed = new SnapshotSubscription(client, "2", table, { cursor });
    await resumed.waitFor(() => resumed.steps.length === 2, "an event");
    expect([resumed.steps, resumed.ids]).toEqual([["ready resumed", "event"], ["2"]]);
    client.send({ type: "unsubscribe", id: "2" });
    const anew = await new SnapshotSubscription(client, "3", table, { cursor: "rubbish" }).ready();
    expect(anew.steps).toEqual(["reset cursor_not_usable", "snapshot", "ready new"]);
    expect(anew.ids).toEqual(["1", "2"]);
  });

  it("comes again after a reset, on the same connection", async () => {
    const table = await world.createTable(people(3));
    const client = await world.open([table]);
    const all = await new SnapshotSubscription(client, "1", table).ready();
    const some = await new SnapshotSubscription(client, "2", table, { where: { owner: "eve" } }).ready();
    await world.run(
      `truncate ${table}; insert into ${table} (id, tenant_id, owner) values (9, 'acme', 'eve')`,
    );
    await all.ready(2);
    await some.ready(2);
    await until(() => all.ids.join() === "9" && some.ids.join() === "9");
    for (const { steps } of [all, some]) {
      // Whether the insert is in the documents or follows them is left to the database.
      const greetings = steps.filter((step) => !step.endsWith("event"));
      expect(greetings).toEqual(["snapshot", "ready new", "reset truncated", "snapshot", "ready new"]);
    }
  });

  it("ends with its subscription, also in the middle, and the connection goes on", async () => {
    const table = await world.createTable(["ada"], ["ada"]);
    const client = await world.open([table]);
    const readOn = pauseInSnapshot(client);
    const left = new SnapshotSubscription(client, "1", table);
    await left.waitFor(() => left.steps.length > 0, "a snapshot");
    await world.untilHeld(1);
    client.send({ type: "unsubscribe", id: "1" });
    await world.untilHeld(0);
    readOn();
    const next = await new SnapshotSubscription(client, "2", table, { where: { id: 1 } }).ready();
    const later = next.steps.length;
    await world.run(`update ${table} set n = 2 where id = 1`);
    await next.waitFor(() => next.steps.length > later, "an event");
    expect(left.phases).toEqual(["snapshot"]);
    expect(next.steps).toEqual(["snapshot", "ready new", "event"]);
  });

  it("is given up when its client leaves", async () => {
    const table = await world.createTable([], ["ada"]);
    const client = await world.open([table]);
    pauseInSnapshot(client);
    const left = new SnapshotSubscription(client, "1", table);
    await left.waitFor(() => left.steps.length > 0, "a snapshot");
    await world.untilHeld(1);
    client.close();
    await world.untilHeld(0);
  });

  it("waits for its turn, and gets the place of a client that leaves", async () => {
    const table = await world.createTable(["ada"], ["ada"]);
    const leavers = await Promise.all([1, 2].map(() => world.open([table])));
    for (const [index, client] of leavers.entries()) {
      pauseInSnapshot(client);
      // Not the same snapshot: they would share it.
      const where = { n: { $lt: 10 + index } };
      const held = new SnapshotSubscription(client, "1", table, { where });
      await held.waitFor(() => held.steps.length > 0, "a snapshot");
    }
    await world.untilHeld(2);
    const client = await world.open([table]);
    const abandoned = new SnapshotSubscription(client, "0", table, { where: { id: 2 } });
    const waiting = new SnapshotSubscription(client, "1", table, { where: { id: 1 } });
    client.send({ type: "unsubscribe", id: "0" });
    // Others do not wait for this tenant's.
    const other = await world.server.createTenant(`${mode}-other`);
    const sse = await world.server.subscribe({ collection: table, snapshot: "true" }, other.anonKey);
    await sse.waitForEvent("ready");
    sse.close();
    leavers[0]?.close();
    await waiting.ready();
    expect([waiting.steps, waiting.ids, abandoned.steps]).toEqual([["snapshot", "ready new"], ["1"], []]);
  });

  it("goes together with others on one connection, one of them large, while they change", async () => {
    const large = await world.createTable(people(5), ["ada"]);
    const small = await world.createTable(people(5));
    const client = await world.open([large, small]);
    const readOn = pauseInSnapshot(client);
    const first = new SnapshotSubscription(client, "1", large);
    await first.waitFor(() => first.steps.length > 0, "a snapshot");
    const second = new SnapshotSubscription(client, "2", small);
    const third = new SnapshotSubscription(client, "3", small, { where: { n: { $gte: 2 } } });
    for (const table of [small, large]) {
      await world.run(`update ${table} set n = 2 where id < 4; delete from ${table} where id = 5`);
    }
    readOn();
    for (const subscription of [first, second, third]) await subscription.ready();
    for (const table of [small, large]) await world.run(`update ${table} set n = 3 where id = 1`);
    const isThree = ({ documents }: SnapshotSubscription): boolean => documents.get("1")?.["n"] === 3;
    await until(() => [first, second, third].every(isThree));
    expect([second.ids, third.ids]).toEqual([
      ["1", "2", "3", "4"],
      ["1", "2", "3"],
    ]);
    expect(first.documents.size).toBe(await world.count(large));
  });

  it("does not hold up the changes of other subscriptions of its connection", async () => {
    const large = await world.createTable([], ["ada"]);
    const small = await world.createTable();
    const witness = await world.sse({ collection: small });
    const client = await world.open([large, small]);
    const live = await new SnapshotSubscription(client, "1", small).ready();
    const readOn = pauseInSnapshot(client, "2");
    const all = new SnapshotSubscription(client, "2", large);
    await all.waitFor(() => all.steps.length > 0, "a snapshot");
    await world.add(small, 1);
    await witness.waitForMessages(1);
    readOn();
    // It reads more slowly than the documents come from the database.
    client.socket.on("message", () => {
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 5);
    });
    await all.ready();
    const types = client.messages.map(({ type }) => type);
    expect(types.indexOf("event")).toBeGreaterThan(0);
    expect(types.indexOf("event")).toBeLessThan(types.lastIndexOf("snapshot"));
    expect(live.ids).toEqual(["1"]);
  });

  it("begins anew when the database has ended it in the middle", async () => {
    const table = await world.createTable(["ada"], ["ada"]);
    const client = await world.open([table]);
    const readOn = pauseInSnapshot(client);
    const all = new SnapshotSubscription(client, "1", table);
    await all.waitFor(() => all.steps.length > 0, "a snapshot");
    const [first] = await world.untilHeld(1);
    await world.run(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like '%snapshots'",
    );
    await until(async () => !(await world.fetchHeld()).includes(first ?? ""), {
      describe: "the end of the first snapshot",
    });
    readOn();
    await all.ready();
    await world.run(`update ${table} set n = 2 where id = 1`);
    await all.waitFor(() => all.steps.includes("event"), "an event");
    expect(all.phases).toEqual(["snapshot", "reset snapshot_interrupted", "snapshot", "ready new", "event"]);
    expect(all.documents.size).toBe(await world.count(table));
  });

  it("that cannot be completed ends its subscription with an error, and nothing else", async () => {
    const table = await world.createTable(["ada"]);
    await world.run(`insert into ${table} values (2, 'acme', 1, 'eve', repeat('x', 2000000))`);
    const client = await world.open([table]);
    const some = await new SnapshotSubscription(client, "1", table, { where: { owner: "ada" } }).ready();
    const all = new SnapshotSubscription(client, "2", table);
    await all.waitFor(() => all.steps.at(-1)?.startsWith("error") === true, "an error");
    const [error] = client.ofType("error");
    expect(error).toMatchObject({ id: "2", code: "collection_not_usable", retryable: false });
    expect(error?.message).toContain("maxDocumentBytes");
    expect(all.phases.filter((step) => step.startsWith("ready"))).toEqual([]);
    await world.run(`update ${table} set n = 2 where id = 1`);
    await some.waitFor(() => some.steps.includes("event"), "an event");
  });

  it("is not to be had of a topic", async () => {
    const table = await world.createTable();
    const client = await world.open([table]);
    client.send({ type: "subscribe", id: "1", topic: "a", snapshot: true });
    expect(await client.waitFor("error")).toMatchObject({ id: "1", code: "snapshot_not_supported" });
  });
});

it("of a client that does not read is ended in time, and the connection with it", async () => {
  const world = await SnapshotServer.start("notify", {
    snapshotTimeoutMs: 5_000,
    snapshots: { batchRows: 10, maxBufferedBytes: 16 * MEBIBYTE },
    websocket: { closeTimeoutMs: 60_000 },
  });
  try {
    const table = await world.createTable([], ["ada"]);
    const client = await world.open([table]);
    const readOn = pauseInSnapshot(client);
    const all = new SnapshotSubscription(client, "1", table);
    await all.waitFor(() => all.steps.length > 0, "a snapshot");
    await world.untilHeld(1);
    await world.untilHeld(0);
    readOn();
    expect((await client.waitForClose()).code).toBe(4100);
    expect(all.phases).toEqual(["snapshot"]);
  } finally {
    await world.close();
  }
});
