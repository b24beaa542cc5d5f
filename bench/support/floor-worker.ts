import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { sequenceText } from "./frame-scanner.ts";
import { monotonicMs } from "./clock.ts";
import { serveCalls } from "./worker-process.ts";

/** What the floor sends. */
export interface FloorLoad {
  readonly firstSequence: number;
  readonly events: number;
  readonly bytesPerEvent: number;
  /** Events that go out together. */
  readonly eventsPerWrite: number;
}

/** The calls of the floor: the least that Node can do to bring the same bytes to the same sockets. */
export interface FloorCalls {
  [call: string]: (argument: never) => unknown;
  /** Accepts connections, from now on; returns the port. */
  listen(argument: Record<string, never>): Promise<number>;
  /** Encodes, so that sending does not. */
  prepare(load: FloorLoad): void;
  /** Writes all that was prepared, at this rate, or as fast as the sockets take it. */
  send(argument: { eventsPerSecond: number | undefined }): Promise<void>;
  cpuSeconds(argument: Record<string, never>): number;
}

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: ready\ndata: {}\n\n";
const WRITES_PER_TURN = 256;

/** A socket and the next of the writes that it has to get. */
interface Peer {
  readonly socket: Socket;
  place: number;
}

const peers = new Set<Peer>();
let writes: readonly Buffer[] = [];
let eventsPerWrite = 1;
let drained = (): void => undefined;

const server: Server = createServer((socket) => {
  socket.setNoDelay(true);
  const peer: Peer = { socket, place: 0 };
  socket.once("data", () => {
    socket.write(HEAD);
    peers.add(peer);
  });
  socket.once("close", () => peers.delete(peer));
  socket.on("drain", () => drained());
  socket.on("error", () => socket.destroy());
});

const calls: FloorCalls = {
  async listen() {
    if (!server.listening) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The floor got no port.");
    return address.port;
  },
  prepare(load) {
    eventsPerWrite = load.eventsPerWrite;
    writes = encode(load);
    for (const peer of peers) peer.place = 0;
  },
  async send({ eventsPerSecond }) {
    const startedAtMs = monotonicMs();
    for (let head = 1; head <= writes.length; head += 1) {
      if (eventsPerSecond !== undefined) {
        await untilMs(startedAtMs + (head * eventsPerWrite * 1000) / eventsPerSecond);
      }
      await bringAllTo(eventsPerSecond === undefined ? writes.length : head);
      if (eventsPerSecond === undefined) break;
    }
  },
  cpuSeconds() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

function encode({ firstSequence, events, bytesPerEvent }: FloorLoad): Buffer[] {
  const frames = Array.from({ length: events }, (_, index) => frameOf(firstSequence + index, bytesPerEvent));
  const joined: Buffer[] = [];
  for (let from = 0; from < events; from += eventsPerWrite) {
    joined.push(Buffer.concat(frames.slice(from, from + eventsPerWrite)));
  }
  return joined;
}

function frameOf(sequence: number, bytes: number): Buffer {
  const tail = `,"seq":"${sequenceText(sequence)}"}\n\n`;
  return Buffer.from(
    `id: ${sequenceText(sequence)}\ndata: {"pad":"`.padEnd(bytes - tail.length - 1, "x") + `"${tail}`,
  );
}

async function untilMs(timeMs: number): Promise<void> {
  const waitMs = timeMs - monotonicMs();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
}

/** One write to each socket in turn, yielding as the server does, until all have what lies before `head`. */
async function bringAllTo(head: number): Promise<void> {
  for (;;) {
    const behind = [...peers].filter(({ place }) => place < head);
    if (behind.length === 0) return;
    const ready = behind.filter(({ socket }) => !socket.writableNeedDrain);
    if (ready.length === 0) await new Promise<void>((resolve) => (drained = resolve));
    for (const [index, peer] of ready.entries()) {
      const next = writes[peer.place];
      if (next === undefined) continue;
      peer.place += 1;
      peer.socket.write(next);
      if (index % WRITES_PER_TURN === WRITES_PER_TURN - 1) await yieldToEventLoop();
    }
    await yieldToEventLoop();
  }
}

function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

serveCalls(calls);
