import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { bodiesOf, MessagesServer } from "../support/messages-server.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start({ websocket: { maxSubscriptions: 5 } });
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

describe("a raw WebSocket", () => {
  it("gets the changes of every collection of its token, in exactly the documented shape", async () => {
    const client = await messages.openRaw();
    await messages.add("messages", "acme", "one");
    await client.waitForTexts(1);
    await messages.add("notifications", "acme", "two");
    await client.waitForTexts(2);
    await messages.server.database.query("update messages set body = 'changed' where body = 'one'");
    await messages.server.database.query("delete from messages where body = 'changed'");
    const texts = await client.waitForTexts(4);
    const data = (body: string): unknown => ({ id: expect.any(Number), tenant_id: "acme", body });
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([
      { type: "insert", collection: "messages", data: data("one") },
      { type: "insert", collection: "notifications", data: data("two") },
      { type: "update", collection: "messages", data: data("changed") },
      { type: "delete", collection: "messages", data: data("changed") },
    ]);
  });

  it("is live once it is open: nothing that commits afterwards is missed", async () => {
    for (let round = 0; round < 10; round += 1) {
      const client = await messages.openRaw();
      await messages.add("messages", "acme", `round ${round}`);
      expect((await client.waitForTexts(1))[0]).toContain(`round ${round}`);
      client.close();
    }
  });

  it("may send nothing", async () => {
    const client = await messages.openRaw();
    client.send({ type: "subscribe", id: "1", collection: "messages" });
    expect((await client.waitForClose()).code).toBe(4008);
    expect(client.texts).toEqual([]);
  });
});

describe("paperdb.v1", () => {
  it("says nothing until it is asked, then ready, then each change with its cursor", async () => {
    const client = await messages.open();
    const ready = await client.subscribe("a", { collection: "messages" });
    expect(client.texts).toHaveLength(1);
    expect(ready).toEqual({
      type: "ready",
      id: "a",
      channel: expect.stringMatching(/^[\w.-]{1,20}$/),
      cursor: expect.stringMatching(/^[\w.-]+$/),
      resumed: false,
    });
    await messages.add("messages", "acme", "one");
    const event = await client.waitFor("event");
    expect(event).toEqual({
      type: "event",
      channel: ready.channel,
      cursor: expect.stringMatching(/^[\w.-]+$/),
      event: {
        type: "insert",
        collection: "messages",
        documentId: expect.stringMatching(/^\d+$/),
        data: { id: expect.any(Number), tenant_id: "acme", body: "one" },
      },
    });
    expect((event.cursor ?? "") > ready.cursor).toBe(true);
  });

  it("carries many subscriptions, each with its channel, cursors and events", async () => {
    const client = await messages.open();
    const [first, second] = [
      await client.subscribe("m", { collection: "messages" }),
      await client.subscribe("n", { collection: "notifications" }),
    ];
    const orders = await client.subscribe("o", { topic: "order.*" });
    const all = await client.subscribe("t", { topic: ">" });
    expect(new Set([first, second, orders, all].map(({ channel }) => channel)).size).toBe(4);
    for (let round = 0; round < 3; round += 1) {
      await messages.add("messages", "acme", `m${round}`);
      await messages.add("notifications", "acme", `n${round}`);
      await messages.publish("order.created", round);
      await messages.publish("user.created", round);
    }
    await client.waitFor("event", 3 + 3 + 3 + 6);
    expect(bodiesOf(client, first.channel)).toEqual(["m0", "m1", "m2"]);
    expect(bodiesOf(client, second.channel)).toEqual(["n0", "n1", "n2"]);
    expect(client.events(orders.channel)).toEqual(
      [0, 1, 2].map((data) => ({ topic: "order.created", data })),
    );
    expect(client.events(all.channel)).toHaveLength(6);
    for (const { channel } of [first, second, orders, all]) {
      const cursors = client
        .ofType("event")
        .flatMap((event) => (event.channel === channel ? (event.cursor ?? []) : []));
      expect(cursors).toEqual([...new Set(cursors)].toSorted());
    }
  });

  it("names a channel the same on all connections", async () => {
    const [one, two] = [await messages.open(), await messages.open()];
    const ready = await one.subscribe("x", { collection: "messages" });
    expect((await two.subscribe("y", { collection: "messages" })).channel).toBe(ready.channel);
  });

  it("delivers nothing of what was unsubscribed, also before it was ready; ids can be used again", async () => {
    const client = await messages.open();
    for (let round = 0; round < 10; round += 1) {
      client.send({ type: "subscribe", id: "a", collection: round % 2 === 0 ? "messages" : "notifications" });
      client.send({ type: "unsubscribe", id: "a" });
    }
    client.send({ type: "unsubscribe", id: "never there" });
    await client.subscribe("b", { collection: "notifications" });
    await messages.add("messages", "acme", "not mine");
    await messages.add("notifications", "acme", "mine");
    await client.waitFor("event");
    expect(bodiesOf(client)).toEqual(["mine"]);
    expect(client.ofType("error")).toEqual([]);
    client.send({ type: "unsubscribe", id: "b" });
    const again = await client.subscribe("a", { collection: "messages" });
    await messages.add("notifications", "acme", "too late");
    await messages.add("messages", "acme", "again");
    await client.waitFor("event", 2);
    expect(bodiesOf(client, again.channel)).toEqual(["again"]);
    expect(bodiesOf(client)).toEqual(["mine", "again"]);
  });

  it("answers no message with the id of a subscription that goes on, but for duplicates", async () => {
    const client = await messages.open({ token: await messages.mint({ collections: ["messages"] }) });
    const { channel } = await client.subscribe("6", { collection: "messages" });
    for (const message of [
      { type: "subscribe", id: "6", collection: "notifications" },
      { type: "subscribe", id: "6", collection: "messages", where: {} },
      { type: "subscribe", id: "6", collection: "messages", color: 1 },
      { type: "subscribe", id: "6", topic: "a..b" },
      { type: "unsubscribe", id: "6", color: 1 },
      { type: "auth", id: "6" },
    ]) {
      client.send(message);
    }
    await client.waitFor("error", 6);
    expect(client.ofType("error").map(({ id, code }) => [id, code])).toEqual([
      ...Array.from({ length: 4 }, () => ["6", "duplicate_subscription"]),
      [undefined, "invalid_request"],
      [undefined, "invalid_request"],
    ]);
    await messages.add("messages", "acme", "goes on");
    await client.waitFor("event");
    expect(bodiesOf(client, channel)).toEqual(["goes on"]);
  });

  it("sends every kind of character", async () => {
    const client = await messages.open();
    await client.subscribe("a", { collection: "messages" });
    const body = `\u0001\u001f"\\/\u007f\u0085\u2028\u2029\ufeff\ufffe é e\u0301 日本語 🦊 👩‍👩‍👧 \u{10ffff}`;
    await messages.add("messages", "acme", body);
    await client.waitFor("event");
    expect(bodiesOf(client)).toEqual([body]);
  });
});

describe("the admin API", () => {
  it("lists WebSockets with what they are subscribed to, and ends them with 4104", async () => {
    // Those of the test before may still be ending.
    await messages.waitForNoConnections();
    const client = await messages.open();
    await client.subscribe("a", { collection: "messages" });
    await client.subscribe("b", { topic: "order.*" });
    const raw = await messages.openRaw();
    const { body } = await messages.server.admin("GET", "connections?tenant=acme");
    const list = body["connections"] as Record<string, unknown>[];
    expect(list).toHaveLength(2);
    expect(list).toContainEqual({
      id: expect.any(String),
      tenant: "acme",
      keyId: expect.stringMatching(/^key_/),
      transport: "websocket",
      collections: ["messages"],
      topics: ["order.*"],
      remoteAddress: "127.0.0.1",
      openedAt: expect.stringMatching(/^\d{4}-/),
    });
    for (const { id } of list) await messages.server.admin("DELETE", `connections/${String(id)}`);
    expect((await client.waitForClose()).code).toBe(4104);
    expect((await raw.waitForClose()).code).toBe(4104);
    await messages.waitForNoConnections();
  });
});
