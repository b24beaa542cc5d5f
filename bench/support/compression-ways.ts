import { startNode } from "../peers/node-process.ts";
import { FAN_OUT_TOPIC } from "./fan-out-event.ts";
import { bindToCore, CORES } from "./cpu-core.ts";
import type { DecodingTarget } from "./decoding-client.ts";
import { fetchToken } from "./fan-out-ours.ts";
import { ServerProcess } from "./server-process.ts";
import { createTenant } from "./tenant.ts";
import { clientFrame, upgradeRequest } from "./websocket-bytes.ts";

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
const OFFER = "sec-websocket-extensions: permessage-deflate\r\n\r\n";

/** Our server. */
export async function startOurs(profileDir: string | undefined): Promise<CompressionServer> {
  const compression = { enabled: true, minBytes: MIN_BYTES, maxTimePercent: 100 };
  const server = await ServerProcess.start({ profileDir, config: { compression } });
  await bindToCore(server.pid, CORES.server);
  const tenant = await createTenant(server, "bench", "team");
  const token = await fetchToken(server, tenant);
  const port = Number(new URL(server.url).port);
  const upgrade = upgradeRequest(`/?token=${token}`, { protocol: "paperdb.v1" });
  const message = clientFrame("text", JSON.stringify({ type: "subscribe", id: "1", topic: FAN_OUT_TOPIC }));
  return {
    pid: server.pid,
    port,
    target: (transport, way) => {
      if (way === "per client") return undefined;
      const compressed = way === "shared";
      if (transport === "sse") {
        const path = `/v1/events/subscribe?topic=${FAN_OUT_TOPIC}&apikey=${tenant.anonKey}`;
        const coding = compressed ? "gzip" : "plain";
        return { port, transport, coding, request: sseRequest(path, compressed), message: undefined };
      }
      const request = compressed ? offering(upgrade) : upgrade;
      return { port, transport, coding: compressed ? "deflate" : "plain", request, message };
    },
    publish: (data) =>
      post(
        "/v1/events/publish",
        `apikey: ${tenant.secretKey}\r\n`,
        `{"topic":"${FAN_OUT_TOPIC}","data":${data}}`,
      ),
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
        ? { port, transport, coding: "gzip", request: sseRequest("/", true), message: undefined }
        : { port, transport, coding: "deflate", request: offering(upgradeRequest("/")), message: undefined };
    },
    publish: (data) => post("/publish", "", data),
    close: () => server.stop(),
  };
}

function sseRequest(path: string, compressed: boolean): Buffer {
  const accept = compressed ? "accept-encoding: gzip\r\n" : "";
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n${accept}\r\n`);
}

function offering(upgrade: Buffer): Buffer {
  return Buffer.concat([upgrade.subarray(0, -"\r\n".length), Buffer.from(OFFER)]);
}

function post(path: string, headers: string, body: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: bench\r\n${headers}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
}
