import type {
  FanOutPeer,
  FanOutServer,
  FanOutTransport,
  PublishProtocol,
} from "../support/fan-out-server.ts";
import { clientFrame, upgradeRequest } from "../support/websocket-bytes.ts";
import { EVENT_DATA } from "../support/fan-out-event.ts";
import { startProduct } from "./product.ts";

const CHANNEL = "events";
const API_KEY = "bench";

/** Centrifugo 6, by a binary of the user's. */
export const centrifugo: FanOutPeer = {
  name: "centrifugo",
  transports: ["websocket", "sse"],
  prepare: () =>
    Promise.resolve(process.env["CENTRIFUGO_BIN"] === undefined ? "`CENTRIFUGO_BIN` is not set" : undefined),
  async start(transport, place) {
    const server = await startProduct(
      {
        program: process.env["CENTRIFUGO_BIN"] ?? "centrifugo",
        args: (file) => [`--config=${file}`],
        configName: "config.json",
        ports: ["http"],
        config: ({ http }: { readonly http: number }) => JSON.stringify(configOf(http)),
      },
      place,
    );
    return {
      name: "Centrifugo 6",
      transport,
      pids: [server.pid],
      port: server.ports.http,
      ...subscribing(transport),
      publish: publishing(server.ports.http),
      close: () => server.close(),
    };
  },
};

function configOf(port: number): Readonly<Record<string, unknown>> {
  return {
    http_server: { address: "127.0.0.1", port },
    log: { level: "error" },
    usage_stats: { disabled: true },
    client: {
      allow_anonymous_connect_without_token: true,
      // A ping waits behind a burst to 10,000 longer than the 8 s that its answer has by default.
      ping_interval: "60s",
      pong_timeout: "50s",
    },
    channel: {
      without_namespace: { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
    },
    http_api: { key: API_KEY },
    uni_sse: { enabled: true },
  };
}

function subscribing(transport: FanOutTransport): Pick<FanOutServer, "greeting" | "pong" | "chunked"> {
  if (transport === "sse") {
    const connect = encodeURIComponent(JSON.stringify({ subs: { [CHANNEL]: {} } }));
    const request = `GET /connection/uni_sse?cf_connect=${connect} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`;
    return { greeting: [{ send: Buffer.from(request), until: `"subs":{"${CHANNEL}"` }], chunked: true };
  }
  const commands = [
    { id: 1, connect: {} },
    { id: 2, subscribe: { channel: CHANNEL } },
  ];
  const text = commands.map((command) => JSON.stringify(command)).join("\n");
  return {
    greeting: [
      { send: upgradeRequest("/connection/websocket"), until: "\r\n\r\n" },
      { send: clientFrame("text", text), until: '"id":2,"subscribe":{}}' },
    ],
    // In a frame of its own or beside events, in which there is no such text.
    pong: { ping: Buffer.from("{}"), send: clientFrame("text", "{}") },
  };
}

function publishing(port: number): PublishProtocol {
  const body = `{"channel":"${CHANNEL}","data":${EVENT_DATA}}`;
  const head = `POST /api/publish HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return { port, greeting: [], request: Buffer.from(head + body), answer: '{"result":' };
}
