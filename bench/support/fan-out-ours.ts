import { bindToCore } from "./cpu-core.ts";
import { EVENT_DATA, FAN_OUT_TOPIC } from "./fan-out-event.ts";
import type { Exchange, FanOutPeer, FanOutPlace, FanOutServer, FanOutTransport } from "./fan-out-server.ts";
import { ServerProcess } from "./server-process.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";
import { clientFrame, serverFrame, upgradeRequest } from "./websocket-bytes.ts";

const TOKEN_SECONDS = 86_400;

/** The server of this repository, as it is started, with keys and tokens. Its embedded database is not counted. */
export class OurPeer implements FanOutPeer {
  readonly name = "ours";
  readonly transports = ["websocket", "sse"] as const;
  readonly #profileDir: string | undefined;

  /** @param profileDir - where CPU profiles go; undefined: none are taken. */
  constructor(profileDir?: string) {
    this.#profileDir = profileDir;
  }

  prepare(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async start(transport: FanOutTransport, { core }: FanOutPlace): Promise<FanOutServer> {
    const server = await ServerProcess.start({ profileDir: this.#profileDir });
    try {
      await bindToCore(server.pid, core);
      return await asFanOutServer(server, await createTenant(server, "bench", "team"), transport);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }
}

/** A server that runs, as a load generator knows it: all of this tenant's connections get all of its events. */
export async function asFanOutServer(
  server: ServerProcess,
  tenant: BenchTenant,
  transport: FanOutTransport,
): Promise<FanOutServer> {
  const port = Number(new URL(server.url).port);
  return {
    name: "PaperDB Realtime",
    transport,
    pids: [server.pid],
    port,
    greeting: transport === "sse" ? sseGreeting(tenant) : webSocketGreeting(await fetchToken(server, tenant)),
    publish: { port, greeting: [], request: publishRequest(tenant), answer: "HTTP/1.1 202" },
    ...(transport === "websocket" ? { pong: PONG } : {}),
    close: () => server.stop(),
  };
}

const PONG: NonNullable<FanOutServer["pong"]> = {
  ping: serverFrame("ping", ""),
  send: clientFrame("pong", ""),
};

/** Subscribes to the topic with an anon key. */
function sseGreeting({ anonKey }: BenchTenant): readonly Exchange[] {
  const request =
    `GET /v1/events/subscribe?topic=${FAN_OUT_TOPIC} HTTP/1.1\r\nhost: bench\r\napikey: ${anonKey}\r\n` +
    "accept: text/event-stream\r\n\r\n";
  return [{ send: Buffer.from(request), until: "event: ready\n" }];
}

/** Subscribes to the topic over `paperdb.v1`. */
export function webSocketGreeting(token: string): readonly Exchange[] {
  const subscribe = JSON.stringify({ type: "subscribe", id: "1", topic: FAN_OUT_TOPIC });
  return [
    { send: upgradeRequest(`/?token=${token}`, { protocol: "paperdb.v1" }), until: "\r\n\r\n" },
    { send: clientFrame("text", subscribe), until: '"type":"ready"' },
  ];
}

/** A token for the topic. */
export async function fetchToken({ url }: ServerProcess, { secretKey }: BenchTenant): Promise<string> {
  const response = await fetch(`${url}/realtime/token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secretKey}`, "content-type": "application/json" },
    body: JSON.stringify({ topics: [FAN_OUT_TOPIC], permissions: ["read"], expiresIn: TOKEN_SECONDS }),
  });
  const answer: unknown = await response.json();
  if (typeof answer === "object" && answer !== null && "token" in answer) return String(answer.token);
  throw new Error(`The server answered ${response.status} to a request for a token.`);
}

function publishRequest({ secretKey }: BenchTenant): Buffer {
  const body = `{"topic":"${FAN_OUT_TOPIC}","data":${EVENT_DATA}}`;
  return Buffer.from(
    `POST /v1/events/publish HTTP/1.1\r\nhost: bench\r\napikey: ${secretKey}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  );
}
