import { startNode } from "../peers/node-process.ts";
import { FAN_OUT_TOPIC } from "./fan-out-event.ts";
import { bindToCore, CORES } from "./cpu-core.ts";
import type { DecodingTarget } from "./decoding-client.ts";
import { FAN_OUT_GRANT } from "./fan-out-ours.ts";
import { getRequest, postRequest } from "./http-bytes.ts";
import { publishRequest, sseRequest, subscribeFrame, webSocketRequest } from "./our-requests.ts";
import { fetchToken } from "./realtime-token.ts";
import { ServerProcess } from "./server-process.ts";
import { createTenant } from "./tenant.ts";
import { upgradeRequest } from "./websocket-bytes.ts";

/** How clients receive. */
export type Transport = "sse" | "websocket";

/** `off` and `shared` are the same server, to clients that read no compression and to those that do. */
export type Way = "off" | "shared" | "per client";

/** A server, as clients and a publisher know it. */
export interface CompressionServer {
  readonly pid: number;
  readonly port: number;
  /** What a client asks for to receive in this way; undefined: this server has not got it. */
  target(transport: Transport, way: Way): DecodingTarget | undefined;
  /** A request that publishes this. */
  publish(data: string): Buffer;
  close(): Promise<void>;
}

/** So that also the small events are compressed. */
const MIN_BYTES = 200;
const ACCEPT_GZIP = { "accept-encoding": "gzip" };
const OFFER = "sec-websocket-extensions: permessage-deflate\r\n\r\n";

/** Our server. */
export async function startOurs(profileDir: string | undefined): Promise<CompressionServer> {
  const compression = { enabled: true, minBytes: MIN_BYTES, maxTimePercent: 100 };
  const server = await ServerProcess.start({ profileDir, config: { compression } });
  await bindToCore(server.pid, CORES.server);
  const tenant = await createTenant(server, "bench", "team");
  const token = await fetchToken(server, tenant, FAN_OUT_GRANT);
  const port = Number(new URL(server.url).port);
  const upgrade = webSocketRequest(token);
  const message = subscribeFrame({ topic: FAN_OUT_TOPIC });
  return {
    pid: server.pid,
    port,
    target: (transport, way) => {
      if (way === "per client") return undefined;
      const compressed = way === "shared";
      if (transport === "sse") {
        const headers = { apikey: tenant.anonKey, ...(compressed ? ACCEPT_GZIP : {}) };
        const request = sseRequest({ topic: FAN_OUT_TOPIC }, headers);
        return { port, transport, coding: compressed ? "gzip" : "plain", request, message: undefined };
      }
      const request = compressed ? offering(upgrade) : upgrade;
      return { port, transport, coding: compressed ? "deflate" : "plain", request, message };
    },
    publish: (data) => publishRequest(tenant.secretKey, FAN_OUT_TOPIC, data),
    close: () => server.stop(),
  };
}

/** A server with a compressor for each client. */
export async function startPerClient(): Promise<CompressionServer> {
  const module = new URL("compression-per-client-server.ts", import.meta.url);
  const { process: server, port } = await startNode(module, { core: CORES.server });
  return {
    pid: server.pid,
    port,
    target: (transport, way) => {
      if (way !== "per client") return undefined;
      return transport === "sse"
        ? { port, transport, coding: "gzip", request: getRequest("/", ACCEPT_GZIP), message: undefined }
        : { port, transport, coding: "deflate", request: offering(upgradeRequest("/")), message: undefined };
    },
    publish: (data) => postRequest("/publish", data),
    close: () => server.stop(),
  };
}

function offering(upgrade: Buffer): Buffer {
  return Buffer.concat([upgrade.subarray(0, -"\r\n".length), Buffer.from(OFFER)]);
}
