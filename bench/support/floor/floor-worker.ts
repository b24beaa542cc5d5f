import { createServer, type Socket } from "node:net";
import type { FanOutTransport } from "../fan-out-server.ts";
import { listenLocally } from "../listening.ts";
import { serveCalls } from "../worker-process.ts";

/** The calls of the floor where no C compiler is: the same loop on bare sockets of Node. */
export interface FloorCalls {
  [call: string]: (argument: never) => unknown;
  /** Accepts connections, from now on; returns the port. */
  listen(argument: { transport: FanOutTransport; bytesPerEvent: number }): Promise<number>;
}

const READY = {
  sse: Buffer.from(
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: ready\ndata: {}\n\n",
    "latin1",
  ),
  websocket: Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n\x81\x10{"type":"ready"}',
    "latin1",
  ),
};
const PUBLISHED = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
const MARK = '"seq":"';
const DIGITS = 10;
const WRITES_PER_TURN = 256;
const SLICE_BYTES = 64 * 1024;

/** A socket and the number of events that it has. */
interface Subscriber {
  readonly socket: Socket;
  place: number;
}

/** Events from `from` on, up to `next`. */
interface Slice {
  readonly from: number;
  /** Of all events, when it was made. */
  readonly head: number;
  readonly next: number;
  readonly bytes: Buffer;
}

const subscribers: Subscriber[] = [];
const events: Buffer[] = [];
/** What lies between the head and the place that was asked for last. */
let slice: Slice = { from: -1, head: -1, next: -1, bytes: Buffer.alloc(0) };
let bytesPerEvent = 0;
let transport: FanOutTransport = "sse";
let cursor = 0;
let unvisited = 0;
let scheduled = false;

const calls: FloorCalls = {
  listen(argument) {
    ({ transport, bytesPerEvent } = argument);
    return listenLocally(createServer({ noDelay: true }, accept));
  },
};

function accept(socket: Socket): void {
  let subscriber: Subscriber | undefined;
  let input = "";
  socket.on("data", (bytes) => {
    if (subscriber !== undefined) return;
    input += bytes.toString("latin1");
    if (input.startsWith("P")) input = takePublishes(socket, input);
    else if (input.includes("\r\n\r\n")) subscriber = subscribe(socket);
  });
  socket.on("drain", () => {
    if (subscriber === undefined) return;
    visit(subscriber);
    schedule();
  });
  socket.once("close", () => {
    const index = subscriber === undefined ? -1 : subscribers.indexOf(subscriber);
    if (index !== -1) subscribers.splice(index, 1);
  });
  socket.on("error", () => socket.destroy());
}

function subscribe(socket: Socket): Subscriber {
  const subscriber = { socket, place: events.length };
  subscribers.push(subscriber);
  socket.write(READY[transport]);
  return subscriber;
}

/** Takes the publishes that are whole; returns the start of the next. */
function takePublishes(socket: Socket, input: string): string {
  let rest = input;
  let answers = "";
  for (;;) {
    const body = rest.indexOf("\r\n\r\n") + 4;
    const next = body + Number(/content-length: (\d+)/.exec(rest)?.[1]);
    if (body === 3 || rest.length < next) break;
    const mark = rest.indexOf(MARK, body) + MARK.length;
    events.push(frameOf(rest.slice(mark, mark + DIGITS)));
    answers += PUBLISHED;
    rest = rest.slice(next);
  }
  if (answers !== "") socket.write(answers, "latin1");
  unvisited = subscribers.length;
  schedule();
  return rest;
}

function frameOf(sequence: string): Buffer {
  const isWebSocket = transport === "websocket";
  const start = isWebSocket ? '\x81\x7e??{"pad":"' : `id: ${sequence}\ndata: {"pad":"`;
  const end = `","seq":"${sequence}"}${isWebSocket ? "" : "\n\n"}`;
  const frame = Buffer.from(start + "x".repeat(bytesPerEvent - start.length - end.length) + end, "latin1");
  if (isWebSocket) frame.writeUInt16BE(frame.length - 4, 2);
  return frame;
}

function schedule(): void {
  if (scheduled || unvisited === 0) return;
  scheduled = true;
  setImmediate(deliver);
}

function deliver(): void {
  scheduled = false;
  for (let writes = 0; writes < WRITES_PER_TURN && unvisited > 0 && subscribers.length > 0; writes += 1) {
    if (cursor >= subscribers.length) cursor = 0;
    const subscriber = subscribers[cursor];
    cursor += 1;
    unvisited -= 1;
    if (subscriber !== undefined) visit(subscriber);
  }
  schedule();
}

/** One write of what lies between the subscriber's place and the head. */
function visit(subscriber: Subscriber): void {
  const { socket, place } = subscriber;
  if (socket.writableNeedDrain || place === events.length) return;
  if (slice.from !== place || slice.head !== events.length) slice = sliceFrom(place);
  subscriber.place = slice.next;
  if (socket.write(slice.bytes) && subscriber.place < events.length) unvisited = subscribers.length + 1;
}

function sliceFrom(from: number): Slice {
  const head = events.length;
  const next = Math.min(head, from + Math.max(1, Math.floor(SLICE_BYTES / bytesPerEvent)));
  return {
    from,
    head,
    next,
    bytes: next - from === 1 ? (events[from] ?? Buffer.alloc(0)) : Buffer.concat(events.slice(from, next)),
  };
}

serveCalls(calls);
