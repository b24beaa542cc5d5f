import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MessagesServer } from "../support/messages-server.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start({ websocket: { maxSubscriptions: 5 } });
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

const KEY = "AQIDBAUGBwgJCgsMDQ4PEA==";

/** What the rows of events say. */
function bodies(client: WebSocketClient, channel?: string): unknown[] {
  return client.events(channel).map((event) => (event as { data: { body: unknown } }).data.body);
}

describe("the handshake", () => {
  const refused = (options: Parameters<typeof WebSocketClient.refused>[1]) =>
    WebSocketClient.refused(messages.url, options);

  it.each(["/", "/realtime"])("is answered on %s", async (path) => {
    const client = await messages.open({ path });
    expect(client.socket.protocol).toBe("paperdb.v1");
    const raw = await messages.open({ path, protocol: undefined });
    expect(raw.socket.protocol).toBe("");
    expect(raw.socket.extensions).toBe("");
  });

  it("takes the token as bearer too, and a header wins", async () => {
    const token = await messages.mint();
    const authorization = `Bearer ${token}`;
    const byHeader = await WebSocketClient.open(messages.url, { headers: { authorization } });
    byHeader.close();
    const both = await WebSocketClient.open(messages.url, { token: "rubbish", headers: { authorization } });
    both.close();
    const wrong = await refused({ token, headers: { authorization: "Bearer a.b.c" } });
    expect(wrong).toMatchObject({ status: 401, code: "token_invalid" });
  });

  it("without a token is a 401 that says where to get one", async () => {
    const { status, code, detail, headers } = await refused({});
    expect({ status, code }).toEqual({ status: 401, code: "unauthorized" });
    expect(detail).toContain("POST /realtime/token");
    expect(headers["content-type"]).toBe("application/problem+json");
    expect(headers["www-authenticate"]).toMatch(/^Bearer/);
  });

  it("with a key is a 401 that says to mint a token, wherever the key is", async () => {
    const { anonKey, secretKey } = messages.acme;
    for (const options of [
      { headers: { apikey: anonKey } },
      { headers: { authorization: `Bearer ${secretKey}` } },
      { token: anonKey },
      { path: `/realtime?apikey=${anonKey}` },
    ]) {
      const { status, code, detail } = await refused(options);
      expect({ status, code }).toEqual({ status: 401, code: "unauthorized" });
      expect(detail).toContain("not a key");
      expect(detail).not.toContain("flc_");
    }
    expect(await refused({ token: secretKey })).toMatchObject({ status: 401, code: "secret_key_in_query" });
  });

  it.each<[string, () => Promise<Parameters<typeof WebSocketClient.refused>[1]>, number, string]>([
    ["two tokens", async () => ({ path: "/realtime?token=a&token=b" }), 400, "invalid_request"],
    ["an empty token", async () => ({ token: "" }), 401, "unauthorized"],
    [
      "a bearer that is neither key nor token",
      async () => ({ headers: { authorization: "Bearer junk" } }),
      401,
      "token_invalid",
    ],
    ["a token that is none", async () => ({ token: "rubbish" }), 401, "token_invalid"],
    ["another path", async () => ({ token: await messages.mint(), path: "/elsewhere" }), 404, "not_found"],
    [
      "the path of SSE",
      async () => ({ token: await messages.mint(), path: "/v1/events/subscribe" }),
      404,
      "not_found",
    ],
    [
      "another subprotocol",
      async () => ({ token: await messages.mint(), protocol: "mqtt" }),
      400,
      "invalid_request",
    ],
    [
      "no collection and no subprotocol",
      async () => ({ token: await messages.mint({ topics: [">"] }), protocol: undefined }),
      403,
      "forbidden",
    ],
  ])("with %s is refused", async (_name, options, status, code) => {
    expect(await refused(await options())).toMatchObject({ status, code });
  });

  it("that is none: 426, or 400 without a proper key", async () => {
    const token = await messages.mint();
    const page = await fetch(`${messages.url}/realtime?token=${token}`);
    expect(page.status).toBe(426);
    expect(page.headers.get("upgrade")).toBe("websocket");
    expect(await page.json()).toMatchObject({ code: "upgrade_required" });
    const good = { upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": KEY };
    for (const [headers, status, code] of [
      [{ ...good, "sec-websocket-version": "8" }, 426, "upgrade_required"],
      [{ ...good, "sec-websocket-key": "short" }, 400, "invalid_request"],
      [{ ...good, "sec-websocket-protocol": "paperdb.v1, paperdb.v1" }, 400, "invalid_request"],
    ] as const) {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      const socket = await RawSocket.open(
        messages.url,
        `GET /?token=${token} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\n${lines.join("\r\n")}\r\n\r\n`,
      );
      await socket.waitForEnd();
      expect(socket.received).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(socket.received).toContain(`"code":"${code}"`);
      if (status === 426) expect(socket.received).toMatch(/upgrade: websocket[^]*sec-websocket-version: 13/);
    }
  });

  describe("for another protocol than WebSocket is ignored", () => {
    const h2c =
      "host: test\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n";

    /** Sends requests on one connection, and reads until so many are answered. */
    async function answers(...requests: readonly string[]): Promise<string[]> {
      const socket = await RawSocket.open(messages.url);
      const statuses = (): string[] => socket.received.match(/HTTP\/1\.1 \d+/g) ?? [];
      try {
        for (const [index, request] of requests.entries()) {
          socket.send(request);
          await until(() => statuses().length > index, { describe: () => socket.received });
        }
        return statuses().map((line) => line.slice("HTTP/1.1 ".length));
      } finally {
        socket.close();
      }
    }

    function post(path: string, key: string, body: string, headers = h2c): string {
      return `POST ${path} HTTP/1.1\r\n${headers}apikey: ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    }

    it("on every path, bodies included, again and again on one connection", async () => {
      const { secretKey } = messages.acme;
      const publish = post("/v1/events/publish", secretKey, JSON.stringify({ topic: "a", data: 1 }));
      const mint = post("/realtime/token", secretKey, JSON.stringify({ collections: ["messages"] }));
      const chunked = `POST /v1/events/publish HTTP/1.1\r\n${h2c}apikey: ${secretKey}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
      const health = `GET /healthz HTTP/1.1\r\n${h2c}\r\n`;
      const rounds = Array.from({ length: 15 }, () => [publish, mint, health]).flat();
      const warnings: Error[] = [];
      const onWarning = (warning: Error): number => warnings.push(warning);
      process.on("warning", onWarning);
      expect(
        await answers(
          ...rounds,
          `${chunked}5\r\n{"top\r\n16\r\nic":"a.b.c","data":{}}\r\n0\r\n\r\n`,
          `GET / HTTP/1.1\r\n${h2c}\r\n`,
          `GET /realtime HTTP/1.1\r\n${h2c}\r\n`,
          `GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n`,
        ),
      ).toEqual([
        ...rounds.map((request) => (request === publish ? "202" : "200")),
        "202",
        "404",
        "426",
        "200",
      ]);
      process.off("warning", onWarning);
      // Such as of listeners that are added each time.
      expect(warnings).toEqual([]);
    });

    it("requests that were sent behind it are answered too", async () => {
      const { secretKey } = messages.acme;
      const publish = post("/v1/events/publish", secretKey, JSON.stringify({ topic: "a", data: 1 }));
      const socket = await RawSocket.open(
        messages.url,
        `${publish}GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n`,
      );
      await socket.waitForEnd();
      expect(socket.received.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 202", "HTTP/1.1 200"]);
    });

    it("a body that comes later is waited for; its limits hold, and the wish to close is kept", async () => {
      const { secretKey } = messages.acme;
      const body = JSON.stringify({ topic: "a", data: "x".repeat(200_000) });
      const request = post("/v1/events/publish", secretKey, body);
      const socket = await RawSocket.open(messages.url, request.slice(0, -150_000));
      await new Promise(setImmediate);
      socket.send(request.slice(-150_000));
      await socket.waitFor("HTTP/1.1 202");
      socket.close();
      const large = post("/v1/events/publish", secretKey, "{}").replace("length: 2", "length: 9000000");
      expect(await answers(large)).toEqual(["413"]);
      const last = await RawSocket.open(
        messages.url,
        `GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close, Upgrade\r\nupgrade: h2c\r\n\r\n`,
      );
      await last.waitForEnd();
      expect(last.received).toMatch(/^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/);
    });

    it("and SSE streams", async () => {
      const stream = await RawSocket.open(
        messages.url,
        `GET /v1/events/subscribe?collection=messages HTTP/1.1\r\n${h2c}apikey: ${messages.acme.anonKey}\r\n\r\n`,
      );
      await stream.waitFor("event: ready");
      await messages.add("messages", "acme", "by SSE");
      await stream.waitFor("by SSE");
      stream.close();
    });
  });

  it("chooses paperdb.v1 among several subprotocols", async () => {
    const { socket } = await messages.open({ headers: { "Sec-WebSocket-Protocol": "chat, paperdb.v1" } });
    expect(socket.protocol).toBe("paperdb.v1");
  });
});

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
    expect(bodies(client, first.channel)).toEqual(["m0", "m1", "m2"]);
    expect(bodies(client, second.channel)).toEqual(["n0", "n1", "n2"]);
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
    expect(bodies(client)).toEqual(["mine"]);
    expect(client.ofType("error")).toEqual([]);
    client.send({ type: "unsubscribe", id: "b" });
    const again = await client.subscribe("a", { collection: "messages" });
    await messages.add("notifications", "acme", "too late");
    await messages.add("messages", "acme", "again");
    await client.waitFor("event", 2);
    expect(bodies(client, again.channel)).toEqual(["again"]);
    expect(bodies(client)).toEqual(["mine", "again"]);
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
    expect(bodies(client, channel)).toEqual(["goes on"]);
  });

  it("sends every kind of character", async () => {
    const client = await messages.open();
    await client.subscribe("a", { collection: "messages" });
    const body = `\u0001\u001f"\\/\u007f\u0085\u2028\u2029\ufeff\ufffe é e\u0301 日本語 🦊 👩‍👩‍👧 \u{10ffff}`;
    await messages.add("messages", "acme", body);
    await client.waitFor("event");
    expect(bodies(client)).toEqual([body]);
  });
});

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
    expect(bodies(back)).toEqual(["missed 1", "missed 2", "new"]);
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
    expect(bodies(client)).toEqual(["missed"]);
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
    expect(bodies(client, first.channel)).toEqual(["after"]);
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
    expect(bodies(client, ready.channel)).toEqual(["still here"]);
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
