import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { bodiesOf, MessagesServer } from "../support/messages-server.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start({ websocket: { maxSubscriptions: 5 } });
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

describe("a subscribe that is refused", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["neither collection nor topic", {}, "invalid_request"],
    ["both", { collection: "messages", topic: "a" }, "invalid_request"],
    ["a wrong type", { collection: 7 }, "invalid_request"],
    ["an unknown member", { collection: "messages", color: "red" }, "invalid_request"],
    ["an invalid pattern", { topic: "a..b" }, "invalid_topic"],
    ["a pattern after >", { topic: "a.>.b" }, "invalid_topic"],
    ["where of a topic", { topic: "a", where: {} }, "invalid_request"],
    ["where as text", { collection: "messages", where: "{}" }, "invalid_filter"],
    ["where that is no filter", { collection: "messages", where: { id: { $near: 1 } } }, "invalid_filter"],
    [
      "where that is too large",
      { collection: "messages", where: { id: { $in: Array.from({ length: 101 }, (_, id) => id) } } },
      "filter_too_large",
    ],
    ["snapshot of a topic", { topic: "a", snapshot: true }, "snapshot_not_supported"],
    ["what is not granted", { collection: "elsewhere" }, "forbidden"],
  ])("for %s: an error that names it, and the connection goes on", async (_name, members, code) => {
    const client = await messages.open();
    client.send({ type: "subscribe", id: "bad", ...members });
    const error = await client.waitFor("error");
    expect(error).toEqual({
      type: "error",
      id: "bad",
      code,
      message: expect.stringMatching(/^[^]+\.$/),
      retryable: false,
    });
    await client.subscribe("bad", { collection: "messages" });
  });

  it("for a second one of the same id or channel: the first goes on", async () => {
    const client = await messages.open();
    const ready = await client.subscribe("a", { collection: "messages" });
    await client.subscribe("t", { topic: "x.*" });
    client.send({ type: "subscribe", id: "a", collection: "notifications" });
    client.send({ type: "subscribe", id: "b", collection: "messages" });
    client.send({ type: "subscribe", id: "c", topic: "x.*" });
    await client.waitFor("error", 3);
    expect(client.ofType("error").map(({ id, code }) => [id, code])).toEqual([
      ["a", "duplicate_subscription"],
      ["b", "duplicate_subscription"],
      ["c", "duplicate_subscription"],
    ]);
    await messages.add("messages", "acme", "still here");
    await client.waitFor("event");
    expect(bodiesOf(client, ready.channel)).toEqual(["still here"]);
    await client.subscribe("x", { topic: "x.>" });
  });

  it("for one too many; after an unsubscribe there is room again", async () => {
    const client = await messages.open();
    for (const topic of ["a", "b", "c", "d", "e"]) await client.subscribe(topic, { topic });
    client.send({ type: "subscribe", id: "f", topic: "f" });
    expect(await client.waitFor("error")).toMatchObject({ id: "f", code: "too_many_subscriptions" });
    client.send({ type: "unsubscribe", id: "a" });
    await client.subscribe("f", { topic: "f" });
  });

  it.each([
    ["no JSON", "{", /JSON object/],
    ["no object", "[1]", /JSON object/],
    ["an unknown type", '{"type":"shout"}', /"type"/],
    ["no type", "{}", /"type"/],
  ])("as %s: an error, then the close with 4008", async (_name, text, sentence) => {
    const client = await messages.open();
    client.send(text);
    expect((await client.waitForClose()).code).toBe(4008);
    expect(client.messages).toEqual([
      {
        type: "error",
        code: "invalid_request",
        message: expect.stringMatching(sentence),
        retryable: false,
      },
    ]);
  });

  it("as a binary message: an error, then the close with 4008", async () => {
    const client = await messages.open();
    client.socket.send(Buffer.from('{"type":"unsubscribe","id":"a"}'));
    expect((await client.waitForClose()).code).toBe(4008);
    expect(client.ofType("error")).toHaveLength(1);
  });
});
