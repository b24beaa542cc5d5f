import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { Handshake } from "./handshake.ts";
import { UpgradeQueue } from "./upgrade-queue.ts";

const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

function create(): [IncomingMessage, Handshake] {
  const socket = new Socket();
  sockets.push(socket);
  const handshake = new Handshake(socket, Buffer.alloc(0), { timeoutMs: 60_000, onOver: () => undefined });
  return [new IncomingMessage(socket), handshake];
}

it("begins all in order, some at a time, so that others have their turn between them", async () => {
  const begun: IncomingMessage[] = [];
  const queue = new UpgradeQueue((request) => begun.push(request));
  const waiting = Array.from({ length: 100 }, create);
  for (const [request, handshake] of waiting) queue.add(request, handshake);
  const perTurn: number[] = [];
  while (begun.length < waiting.length) {
    perTurn.push(begun.length);
    await new Promise(setImmediate);
  }
  expect(begun).toEqual(waiting.map(([request]) => request));
  expect(perTurn.length).toBeGreaterThan(2);
  const [request, handshake] = create();
  queue.add(request, handshake);
  await new Promise(setImmediate);
  expect(begun.at(-1)).toBe(request);
});

it("does not begin one that has ended meanwhile", async () => {
  const begun: IncomingMessage[] = [];
  const queue = new UpgradeQueue((request) => begun.push(request));
  const [goneRequest, gone] = create();
  const [request, handshake] = create();
  queue.add(goneRequest, gone);
  queue.add(request, handshake);
  gone.complete();
  await new Promise(setImmediate);
  expect(begun).toEqual([request]);
});
