import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import Fastify from "fastify";
import { expect, it, onTestFinished } from "vitest";
import type { Grant } from "../../auth/grant.ts";
import { TokenExpiries } from "../../auth/token-expiries.ts";
import { EVENT_BUS, EventBus } from "../../bus/event-bus.ts";
import { Hub } from "../../hub/hub.ts";
import { MemoryLog } from "../../log/memory/memory-log.ts";
import { SourceDirectory } from "../../source/source-directory.ts";
import { ConnectionRegistry } from "../connection-registry.ts";
import type { SseClient } from "./sse-client.ts";
import { PLAIN_SSE } from "./sse-encoding.ts";
import { SseSession } from "./sse-session.ts";

const GRANT: Grant = {
  tenant: "acme",
  keyId: "key_1",
  role: "anon",
  plan: "pro",
  collections: undefined,
  topics: undefined,
};
/** More than there are between a request and its answer. */
const MOMENTS = 60;

/** A server of one route, and what its sessions are registered with. */
async function start(onRequest: () => void): Promise<{ port: number; connections: ConnectionRegistry }> {
  const log = new MemoryLog({
    maxEventsPerChannel: 10,
    maxBytesPerChannel: 10_000,
    maxBytesTotal: 10_000,
    maxAgeMs: 60_000,
  });
  const observer = { delivered() {}, offered() {}, reset() {}, slowConsumer() {} };
  const settings = {
    lingerMs: 60_000,
    maxLingeringChannels: 10,
    maxBufferedBytes: 10_000,
    maxSliceBytes: 1_000,
    writeTimeoutMs: 60_000,
    heartbeatIntervalMs: 60_000,
    maxSharedBytes: 10_000,
  };
  const hub = new Hub(log, settings, observer);
  const bus = new EventBus(log.sinkFor(EVENT_BUS));
  const connections = new ConnectionRegistry(100);
  const expiries = new TokenExpiries(() => undefined);
  const open = {
    hub,
    closeTimeoutMs: 1_000,
    onClosed: (client: SseClient) => {
      expiries.delete(client);
      connections.delete(client);
    },
  };
  const dependencies = {
    hub,
    bus,
    connections,
    expiries,
    open,
    directory: new SourceDirectory([]),
    writeTimeoutMs: 60_000,
    onOpened: () => undefined,
    maxConnections: () => 100,
  };
  const app = Fastify();
  app.get("/", async (request, reply) => {
    const wish = { subject: { topic: "a" }, cursor: undefined, snapshot: false, encoding: PLAIN_SSE };
    const opening = new SseSession(dependencies, { request, reply }, GRANT, wish).open();
    onRequest();
    await opening;
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  onTestFinished(async () => {
    hub.close();
    log.stop();
    await app.close();
  });
  return { port: (app.server.address() as AddressInfo).port, connections };
}

it("is over when its key is revoked, at whatever moment before its answer or after", async () => {
  let moments = 0;
  const revoke = async (): Promise<void> => {
    for (let moment = 0; moment < moments; moment += 1) await Promise.resolve();
    connections.endWhere(() => true, "revoked");
  };
  const { port, connections } = await start(() => void revoke());
  const answers = new Set<string>();
  for (; moments < MOMENTS; moments += 1) {
    const client = connect(port, "127.0.0.1").setEncoding("latin1");
    client.on("error", () => undefined);
    let received = "";
    client.on("data", (text: string) => {
      received += text;
    });
    client.write("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    await once(client, "close");
    answers.add(received.slice(0, "HTTP/1.1 200".length));
  }
  // It was early enough for the former, and late enough for one that has begun.
  expect(answers).toContain("HTTP/1.1 401");
  expect(connections.size).toBe(0);
  expect(moments).toBe(MOMENTS);
});
