import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { bodiesOf, MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start();
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

describe("resuming", () => {
  it("sends what was missed, in order, once", async () => {
    const client = await messages.open();
    await client.subscribe("a", { collection: "messages" });
    await messages.add("messages", "acme", "seen");
    const { cursor } = await client.waitFor("event");
    client.close();
    await messages.add("messages", "acme", "missed 1", "missed 2");
    const back = await messages.open();
    const ready = await back.subscribe("b", { collection: "messages" }, cursor);
    expect(ready).toMatchObject({ resumed: true, cursor });
    await messages.add("messages", "acme", "new");
    await back.waitFor("event", 3);
    expect(bodiesOf(back)).toEqual(["missed 1", "missed 2", "new"]);
    expect(back.ofType("reset")).toEqual([]);
  });

  it("resets what comes with a cursor of any length that is none of ours", async () => {
    const client = await messages.open();
    const long = "x".repeat(60_000);
    let resets = 0;
    for (const subject of [{ collection: "messages" }, { topic: "order.*" }]) {
      const { cursor } = await client.subscribe("a", subject);
      // What is a little longer lies between the position and the next one, as text.
      const events = client.ofType("event").length;
      await messages.add("messages", "acme", "next");
      await messages.publish("order.created", "next");
      await client.waitFor("event", events + 1);
      for (const bad of [cursor + long, long, `${cursor}0`, `${cursor} `, cursor.slice(0, -1)]) {
        client.send({ type: "unsubscribe", id: "a" });
        expect(await client.subscribe("a", subject, bad)).toMatchObject({ resumed: false });
        resets += 1;
        expect(client.ofType("reset")).toHaveLength(resets);
      }
      client.send({ type: "unsubscribe", id: "a" });
      expect(await client.subscribe("a", subject, cursor)).toMatchObject({ resumed: true });
      client.send({ type: "unsubscribe", id: "a" });
    }
    expect(client.ofType("reset")[0]).toEqual({ type: "reset", id: "a", reason: "cursor_not_usable" });
    expect(client.ofType("error")).toEqual([]);
  });

  it("takes the cursors of SSE, and SSE its own", async () => {
    const { server, acme } = messages;
    const stream = await server.watch("messages", acme.anonKey);
    await messages.add("messages", "acme", "on SSE");
    await stream.waitForMessages(1);
    await until(() => stream.lastEventId !== "");
    stream.close();
    await messages.add("messages", "acme", "missed");
    const client = await messages.open();
    const ready = await client.subscribe("a", { collection: "messages" }, stream.lastEventId);
    expect(ready.resumed).toBe(true);
    const { cursor = "" } = await client.waitFor("event");
    expect(bodiesOf(client)).toEqual(["missed"]);
    client.close();
    await messages.add("messages", "acme", "missed again");
    const back = await server.subscribe({ collection: "messages", cursor }, acme.anonKey);
    expect(await back.waitForMessages(1)).toMatchObject([{ document: { body: "missed again" } }]);
    back.close();
  });

  it("resumes topics", async () => {
    const client = await messages.open();
    await client.subscribe("a", { topic: "order.>" });
    await messages.publish("order.created", 1);
    const { cursor } = await client.waitFor("event");
    client.close();
    await messages.publish("user.created", 2);
    await messages.publish("order.item.added", 3);
    const back = await messages.open();
    expect(await back.subscribe("a", { topic: "order.>" }, cursor)).toMatchObject({ resumed: true });
    await back.waitFor("event");
    expect(back.events()).toEqual([{ topic: "order.item.added", data: 3 }]);
  });

  it("with a cursor that cannot be used is a reset, then ready, never an error", async () => {
    const client = await messages.open();
    const { cursor } = await client.subscribe("other", { collection: "notifications" });
    const topics = await client.subscribe("topics", { topic: "a" });
    const future = cursor.replace(/[^.]+$/, (position) => "z".repeat(position.length));
    for (const [index, text] of ["rubbish", topics.cursor, future, "A".repeat(10_000)].entries()) {
      const id = `r${index}`;
      const ready = await client.subscribe(id, { collection: "messages" }, text);
      const mine = client.messages.filter((message) => "id" in message && message.id === id);
      expect(mine).toEqual([{ type: "reset", id, reason: "cursor_not_usable" }, ready]);
      expect(ready.resumed).toBe(false);
      client.send({ type: "unsubscribe", id });
    }
  });

  it("resets when changes may have been missed, and goes on; raw ones are closed with 4103", async () => {
    const client = await messages.open();
    const first = await client.subscribe("a", { collection: "messages" });
    await client.subscribe("b", { collection: "notifications" });
    const raw = await messages.openRaw();
    await messages.server.database.query("truncate messages");
    const reset = await client.waitFor("reset");
    expect(reset).toEqual({ type: "reset", id: "a", reason: "truncated" });
    await until(() => client.ofType("ready").length === 3);
    expect(client.ofType("ready").at(-1)).toMatchObject({ id: "a", channel: first.channel, resumed: false });
    await messages.add("messages", "acme", "after");
    await client.waitFor("event");
    expect(bodiesOf(client, first.channel)).toEqual(["after"]);
    expect((await raw.waitForClose()).code).toBe(4103);
    expect(raw.texts).toEqual([]);
  });

  it("ends the subscription when its collection is dropped; the connection goes on", async () => {
    await messages.server.database.query("create table temporary (id int primary key, tenant_id text)");
    const token = await until(() =>
      messages.mint({ collections: ["temporary", "messages"] }).catch(() => undefined),
    );
    const client = await messages.open({ token });
    await client.subscribe("t", { collection: "temporary" });
    const raw = await messages.openRaw(token);
    await messages.server.database.query("drop table temporary");
    expect(await client.waitFor("error")).toMatchObject({
      id: "t",
      code: "collection_not_found",
      retryable: false,
    });
    expect((await raw.waitForClose()).code).toBe(4103);
    await client.subscribe("t", { collection: "messages" });
  });
});
