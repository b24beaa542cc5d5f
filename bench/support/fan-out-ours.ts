import { bindToCore } from "./cpu-core.ts";
import { EVENT_DATA, FAN_OUT_TOPIC } from "./fan-out-event.ts";
import type { Exchange, FanOutPeer, FanOutPlace, FanOutServer, FanOutTransport } from "./fan-out-server.ts";
import { publishRequest, sseRequest, subscribeFrame, webSocketRequest } from "./our-requests.ts";
import { fetchToken, type TokenGrant } from "./realtime-token.ts";
import { ServerProcess } from "./server-process.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";
import { clientFrame, serverFrame } from "./websocket-bytes.ts";

/** What all that subscribe may read. */
export const FAN_OUT_GRANT: TokenGrant = { topics: [FAN_OUT_TOPIC] };

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
    greeting:
      transport === "sse"
        ? sseGreeting(tenant)
        : webSocketGreeting(await fetchToken(server, tenant, FAN_OUT_GRANT)),
    publish: {
      port,
      greeting: [],
      request: publishRequest(tenant.secretKey, FAN_OUT_TOPIC, EVENT_DATA),
      answer: "HTTP/1.1 202",
    },
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
  const request = sseRequest({ topic: FAN_OUT_TOPIC }, { apikey: anonKey });
  return [{ send: request, until: "event: ready\n" }];
}

/** Subscribes to the topic over `paperdb.v1`. */
export function webSocketGreeting(token: string): readonly Exchange[] {
  return [
    { send: webSocketRequest(token), until: "\r\n\r\n" },
    { send: subscribeFrame({ topic: FAN_OUT_TOPIC }), until: '"type":"ready"' },
  ];
}
