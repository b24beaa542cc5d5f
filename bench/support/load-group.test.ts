import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { EVENT_DATA } from "./fan-out-event.ts";
import { LoadGroup, type LoadServer } from "./load-group.ts";

const CONNECTIONS = 20;

interface Fixture {
  readonly server: LoadServer;
  readonly group: LoadGroup;
  /** Of the subscribers that are connected. */
  readonly subscribers: ServerResponse[];
}

/** A server that sends what it is posted to all, as `write` says. */
async function start(
  write: (response: ServerResponse, body: string) => void,
  options: Pick<LoadServer, "chunked"> = {},
): Promise<Fixture> {
  const subscribers: ServerResponse[] = [];
  const http = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.method === "GET") {
      subscribers.push(response);
      response.writeHead(200).write("event: ready\n\n");
      return;
    }
    let body = "";
    request.on("data", (bytes: Buffer) => (body += bytes.toString()));
    request.on("end", () => {
      for (const each of subscribers) write(each, body);
      response.writeHead(202).end();
    });
  }).listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  const post = `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${EVENT_DATA.length}\r\n\r\n${EVENT_DATA}`;
  const server: LoadServer = {
    port,
    greeting: [{ send: Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), until: "ready\n\n" }],
    publish: { port, greeting: [], request: Buffer.from(post), answer: "HTTP/1.1 202" },
    ...options,
  };
  const group = new LoadGroup(server);
  onTestFinished(() => {
    group.close();
    http.closeAllConnections();
    http.close();
  });
  return { server, group, subscribers };
}

it("counts what comes, in bursts and at a rate", async () => {
  const { group } = await start((response, body) => response.write(`data: ${body}\n\n`));
  await group.open({ connections: CONNECTIONS });
  const burst = await group.run({ events: 50, repeat: 3 });
  expect(burst).toMatchObject({ expected: 3000, delivered: 3000, lost: 0, outOfOrder: 0, disconnected: 0 });
  expect(burst.bytes).toBeGreaterThanOrEqual(3000 * EVENT_DATA.length);
  expect(burst.latency.p50Ms).toBeGreaterThan(0);
  const steady = await group.run({ events: 20, perSecond: 1000 });
  expect(steady).toMatchObject({ expected: 400, delivered: 400, lost: 0, outOfOrder: 0 });
});

it("finds events across the ends of HTTP chunks", async () => {
  const { group } = await start(
    (response, body) => {
      const middle = body.indexOf('"seq":"') + 9;
      response.write(body.slice(0, middle));
      response.write(`${body.slice(middle)}\n`);
    },
    { chunked: true },
  );
  await group.open({ connections: CONNECTIONS });
  expect(await group.run({ events: 50 })).toMatchObject({ delivered: 1000, lost: 0, outOfOrder: 0 });
});

it("expects nothing of connections that do not read", async () => {
  const { group } = await start((response, body) => response.write(`data: ${body}\n\n`));
  await group.open({ connections: CONNECTIONS, perSecond: 1000 });
  group.pauseReading(5);
  expect(await group.run({ events: 10 })).toMatchObject({ expected: 150, delivered: 150, lost: 0 });
  group.resumeReading();
  expect(await group.run({ events: 10 })).toMatchObject({ expected: 200, delivered: 200, lost: 0 });
});

it("notices what is lost and what comes twice", async () => {
  const { group } = await start((response, body) => {
    if (body.includes('"0000000003"')) return;
    response.write(body.includes('"0000000005"') ? `${body}\n${body}\n` : `${body}\n`);
  });
  await group.open({ connections: CONNECTIONS });
  const result = await group.run({ events: 10, stallMs: 8000 });
  expect(result).toMatchObject({ delivered: 9 * CONNECTIONS, lost: CONNECTIONS, outOfOrder: CONNECTIONS });
});

it("notices connections that the server closes", async () => {
  const { group, subscribers } = await start((response, body) => response.write(body));
  await group.open({ connections: CONNECTIONS });
  subscribers.shift()?.destroy();
  await expect.poll(() => group.disconnected).toBe(1);
  expect(await group.run({ events: 1 })).toMatchObject({ expected: 19, delivered: 19, disconnected: 1 });
});

it("says why a connection did not become live", async () => {
  const { server } = await start(() => undefined);
  const group = new LoadGroup({
    ...server,
    greeting: [{ send: Buffer.from("nonsense\r\n\r\n"), until: "ready" }],
  });
  await expect(group.open({ connections: 1 })).rejects.toThrow("400 Bad Request");
  group.close();
});
