import { once } from "node:events";
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { cutConnection, takeSocket } from "./taken-socket.ts";

const REQUEST = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

interface Opened {
  readonly server: Server;
  readonly client: Socket;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function open(bytes = REQUEST): Promise<Opened> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.setEncoding("latin1");
  onTestFinished(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  client.write(bytes);
  const [request, response] = (await once(server, "request")) as [IncomingMessage, ServerResponse];
  return { server, client, request, response };
}

it("goes on where HTTP has left, in both directions", async () => {
  const { client, request, response } = await open();
  const socket = takeSocket(request, response);
  socket.setEncoding("latin1");
  socket.write("one");
  expect(await once(client, "data")).toEqual(["one"]);
  client.write("two");
  expect(await once(socket, "data")).toEqual(["two"]);
  socket.end("three");
  expect(await once(client, "data")).toEqual(["three"]);
  await once(client, "close");
});

it("is forgotten by the HTTP server, which closes without it", async () => {
  const { server, client, request, response } = await open();
  const closed = once(response, "close");
  const socket = takeSocket(request, response);
  await closed;
  expect(request.socket.destroyed).toBe(true);
  expect(await promisify(server.getConnections.bind(server))()).toBe(0);
  server.closeAllConnections();
  await promisify(server.close.bind(server))();
  socket.write("still here");
  expect(await once(client, "data")).toEqual(["still here"]);
});

it("does not disturb later requests", async () => {
  const { server, request, response } = await open();
  takeSocket(request, response);
  server.on("request", (_request, later: ServerResponse) => void later.end("served"));
  const { port } = server.address() as AddressInfo;
  for (let count = 0; count < 20; count += 1) {
    const [answer] = (await once(get({ port, agent: false }), "response")) as [IncomingMessage];
    expect(await answer.setEncoding("latin1").toArray()).toEqual(["served"]);
  }
});

it("tells of the peer's end", async () => {
  const { client, request, response } = await open();
  const socket = takeSocket(request, response);
  socket.resume();
  client.end();
  await once(socket, "end");
  await once(socket, "close");
});

it("is cut by whoever has a request of its connection", async () => {
  const { client, request, response } = await open(REQUEST + REQUEST);
  const socket = takeSocket(request, response);
  cutConnection(request);
  expect(socket.destroyed).toBe(true);
  client.resume();
  await once(client, "close");
});

it("cannot be taken twice", async () => {
  const { request, response } = await open();
  takeSocket(request, response);
  expect(() => takeSocket(request, response)).toThrow(/socket handle/);
});
