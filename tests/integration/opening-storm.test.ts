import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { RawSocket } from "../support/raw-socket.ts";
import { mintToken } from "../support/realtime-token.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";
import { upgradeRequest } from "../support/upgrade-request.ts";

/** Of each kind: far more than are opened in one turn. */
const CLIENTS = 150;

let server: TestServer;
let alice: TestTenant;

beforeAll(async () => {
  server = await startTestServer();
  alice = await server.createTenant("alice");
});

afterAll(() => server.close());

function sseRequest(): string {
  return `GET /v1/events/subscribe?topic=a HTTP/1.1\r\nhost: test\r\napikey: ${alice.anonKey}\r\n\r\n`;
}

async function webSocketRequest(): Promise<string> {
  const token = await mintToken(server.url, alice.secretKey, { topics: ["a"], permissions: ["read"] });
  return upgradeRequest(token);
}

async function connections(): Promise<number> {
  const { body } = await server.admin("GET", "connections");
  return (body["connections"] as unknown[]).length;
}

it("lets all of a mixed storm in, and keeps nothing of those that leave meanwhile", async () => {
  const requests = [sseRequest(), await webSocketRequest()];
  const sockets = await Promise.all(Array.from({ length: 3 * CLIENTS }, () => RawSocket.open(server.url)));
  // All at once, of both kinds; every third client leaves before it can have an answer.
  for (const [index, socket] of sockets.entries()) socket.send(requests[index % 2] ?? "");
  const left = sockets.filter((_, index) => index % 3 === 2);
  for (const socket of left) socket.close();
  const stayed = sockets.filter((_, index) => index % 3 !== 2);
  const isLive = ({ received }: RawSocket): boolean =>
    received.startsWith("HTTP/1.1 101 ") || received.includes("event: ready");
  await until(() => stayed.every(isLive), {
    describe: () => `all to be live, got ${stayed.filter(isLive).length} of ${stayed.length}`,
  });
  await until(async () => (await connections()) === stayed.length, {
    describe: "the others to be forgotten",
  });
  await server.publish(alice.secretKey, { topic: "a", data: "after the storm" });
  const streams = stayed.filter(({ received }) => received.includes("event: ready"));
  await until(() => streams.every(({ received }) => received.includes("after the storm")));
  expect(streams).toHaveLength(CLIENTS);
  for (const socket of stayed) socket.close();
  await until(async () => (await connections()) === 0, { describe: "nobody to be connected" });
});

it("cuts a client that asks for many streams at once on one connection, without a warning of Node's", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  onTestFinished(() => void process.off("warning", onWarning));
  const greedy = await RawSocket.open(server.url, sseRequest().repeat(500));
  await until(() => greedy.closed || greedy.ended, { describe: "the end" });
  greedy.close();
  await until(async () => (await connections()) === 0, { describe: "nobody to be connected" });
  const client = await server.subscribe({ topic: "a" }, alice.anonKey);
  await client.waitForEvent("ready");
  expect(warnings.map(String)).toEqual([]);
});
