import { connect, type Socket } from "node:net";
import { monotonicMs } from "./clock.ts";
import { FrameScanner, type FrameListener } from "./frame-scanner.ts";

/** Where a group's connections go. */
export interface GroupTarget {
  readonly host: string;
  readonly port: number;
  /** The HTTP request by which each connection subscribes. */
  readonly requests: readonly Buffer[];
  /** Whether the arrival of each event is kept. */
  readonly recordArrivals: boolean;
}

/** What a group received since it was asked last. */
export interface Received {
  /** Of each connection, in the order of opening. */
  readonly events: readonly number[];
  /** In how many different orders (or selections) the connections got their events: 1 is right. */
  readonly distinctOrders: number;
  /** Of each connection: shows what is missing. */
  readonly sequenceSums: readonly number[];
  /** Reads from sockets, all connections together. */
  readonly reads: number;
  readonly bytes: number;
  /** On the monotonic clock: when the last bytes came. */
  readonly lastReadAtMs: number;
  /** Sequence, then ms on the monotonic clock, and so on; empty unless recorded. */
  readonly arrivals: Float64Array;
}

/** Read by one socket at a time, so all share it. */
const READ_BUFFER = Buffer.allocUnsafe(64 * 1024);
const CONNECTING_AT_ONCE = 100;

/** Connections to one server that are opened and read together. */
export class SubscriberGroup {
  readonly #target: GroupTarget;
  readonly #connections: Connection[] = [];
  readonly #arrivals: number[] = [];
  #reads = 0;
  #bytes = 0;
  #lastReadAtMs = Number.NaN;
  #failure: Error | undefined;
  #closed = false;
  #waiting: { readonly events: number; missing: number; settle(): void } | undefined;

  constructor(target: GroupTarget) {
    this.#target = target;
  }

  /** Resolves once all are `ready`. */
  async open(): Promise<void> {
    const { requests } = this.#target;
    for (let first = 0; first < requests.length; first += CONNECTING_AT_ONCE) {
      const batch = requests.slice(first, first + CONNECTING_AT_ONCE);
      await Promise.all(batch.map((request) => this.#openOne(request)));
    }
  }

  /** Resolves once each connection has so many events; rejects on a lost connection, a reset, or lateness. */
  async waitForEvents(events: number, timeoutMs: number): Promise<void> {
    let deadline: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      const missing = this.#connections.filter((connection) => connection.events < events).length;
      this.#waiting = { events, missing, settle: resolve };
      deadline = setTimeout(() => {
        this.#fail(`${this.#waiting?.missing ?? 0} connections have not got ${events} events in time.`);
      }, timeoutMs);
      if (missing === 0 || this.#failure !== undefined) resolve();
    });
    clearTimeout(deadline);
    this.#waiting = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** What came since the last call; counting starts again. */
  take(): Received {
    if (this.#failure !== undefined) throw this.#failure;
    const received: Received = {
      events: this.#connections.map(({ events }) => events),
      distinctOrders: new Set(this.#connections.map(({ order }) => order)).size,
      sequenceSums: this.#connections.map(({ sequenceSum }) => sequenceSum),
      reads: this.#reads,
      bytes: this.#bytes,
      lastReadAtMs: this.#lastReadAtMs,
      arrivals: Float64Array.from(this.#arrivals),
    };
    for (const connection of this.#connections) connection.startAgain();
    this.#arrivals.length = 0;
    this.#reads = 0;
    this.#bytes = 0;
    return received;
  }

  close(): void {
    this.#closed = true;
    for (const { socket } of this.#connections) socket.destroy();
  }

  #openOne(request: Buffer): Promise<void> {
    const { host, port, recordArrivals } = this.#target;
    return new Promise((resolve, reject) => {
      const connection = new Connection({
        event: (sequence) => {
          if (recordArrivals) this.#arrivals.push(sequence, monotonicMs());
          this.#counted(connection);
        },
        named: (name) => {
          if (name === "ready") resolve();
          else this.#fail(`The server sent "${name}".`);
        },
      });
      const take = (bytes: number, buffer: Uint8Array): boolean => {
        this.#reads += 1;
        this.#bytes += bytes;
        this.#lastReadAtMs = monotonicMs();
        connection.scanner.push(Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
        return true;
      };
      const socket = connect({ host, port, onread: { buffer: READ_BUFFER, callback: take } });
      connection.socket = socket;
      this.#connections.push(connection);
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("close", () => {
        reject(new Error("The server closed a connection before it was ready."));
        if (!this.#closed) this.#fail("The server closed a connection.");
      });
      socket.write(request);
    });
  }

  #counted(connection: Connection): void {
    const waiting = this.#waiting;
    if (waiting === undefined || connection.events !== waiting.events) return;
    waiting.missing -= 1;
    if (waiting.missing === 0) waiting.settle();
  }

  #fail(reason: string): void {
    this.#failure ??= new Error(reason);
    this.#waiting?.settle();
  }
}

/** One connection's stream and what was counted in it. */
class Connection {
  socket!: Socket;
  readonly scanner: FrameScanner;
  events = 0;
  /** A hash of the sequences in the order they came. */
  order = 0;
  sequenceSum = 0;

  constructor(on: FrameListener) {
    this.scanner = new FrameScanner({
      event: (sequence) => {
        this.events += 1;
        this.order = (Math.imul(this.order, 31) + sequence) | 0;
        this.sequenceSum += sequence;
        on.event(sequence);
      },
      named: (name) => on.named(name),
    });
  }

  startAgain(): void {
    this.events = 0;
    this.order = 0;
    this.sequenceSum = 0;
  }
}
