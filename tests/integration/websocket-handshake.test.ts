import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MessagesServer } from "../support/messages-server.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start();
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

const KEY = "AQIDBAUGBwgJCgsMDQ4PEA==";

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
