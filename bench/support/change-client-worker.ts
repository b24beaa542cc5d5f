import { connect } from "node:net";
import { monotonicMs } from "./clock.ts";
import { CARRIED_BYTES } from "./carried-bytes.ts";
import { ChangeScanner } from "./change-scanner.ts";
import { serveCalls } from "./worker-process.ts";

/** How one connection subscribes, and what is its own. */
export interface ChangeConnection {
  readonly request: Buffer;
  /** What is sent once the request was answered. */
  readonly followUp?: Uint8Array;
  /** What is sent now and then, so that a server that asks for signs of life has some. */
  readonly keepAlive?: Uint8Array;
  /** What says that it is live. */
  readonly ready: string;
  readonly tenant: number;
}

/** Connections to one server that are opened, and counted, together. */
export interface ChangeGroup {
  readonly port: number;
  readonly connections: readonly ChangeConnection[];
  /** Row `n` of each writer is of tenant `n % tenants`. */
  readonly tenants: number;
  /** Of one in so many connections the arrivals are kept. */
  readonly recordEvery: number;
}

/** What came, all connections together, since it was asked last. */
export interface ReceivedChanges {
  readonly events: number;
  /** When the last of them came, on the monotonic clock. */
  readonly lastAtMs: number;
  /** Sequence, then ms on the monotonic clock, and so on. */
  readonly arrivals: Float64Array;
}

/** The calls of the process that holds the clients; one group at a time for each name. */
export interface ChangeClientCalls {
  [call: string]: (argument: never) => unknown;
  open(argument: { group: string; target: ChangeGroup }): Promise<void>;
  /** Resolves once so many events have come. */
  receive(argument: { group: string; events: number; timeoutMs: number }): Promise<ReceivedChanges>;
  close(group: string): void;
}

/** Read by one socket at a time, so all share it. */
const READ_BUFFER = Buffer.allocUnsafe(CARRIED_BYTES + 256 * 1024);
const HEAD_END = "\r\n\r\n";
const KEEP_ALIVE_INTERVAL_MS = 5_000;

class Group {
  readonly #target: ChangeGroup;
  readonly #ends: (() => void)[] = [];
  #events = 0;
  #lastAtMs = Number.NaN;
  #arrivals: number[] = [];
  #failure: Error | undefined;
  #closed = false;
  #onEvents: () => void = () => undefined;

  constructor(target: ChangeGroup) {
    this.#target = target;
  }

  async open(): Promise<void> {
    await Promise.all(this.#target.connections.map((connection, index) => this.#openOne(connection, index)));
  }

  async receive(events: number, timeoutMs: number): Promise<ReceivedChanges> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.#events} of ${events} changes came.`)),
        timeoutMs,
      );
      this.#onEvents = () => {
        if (this.#failure === undefined && this.#events < events) return;
        clearTimeout(timer);
        this.#onEvents = () => undefined;
        if (this.#failure !== undefined) reject(this.#failure);
        else if (this.#events > events) reject(new Error("More changes came than were written."));
        else resolve();
      };
      this.#onEvents();
    });
    const received = {
      events,
      lastAtMs: this.#lastAtMs,
      arrivals: Float64Array.from(this.#arrivals),
    };
    this.#events = 0;
    this.#arrivals = [];
    return received;
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
  }

  #openOne({ request, followUp, keepAlive, ready, tenant }: ChangeConnection, index: number): Promise<void> {
    const { port, tenants, recordEvery } = this.#target;
    const scanner = new ChangeScanner({ tenants, tenant });
    const found: number[] | undefined = index % recordEvery === 0 ? [] : undefined;
    return new Promise((resolve, reject) => {
      let opening: string | undefined = "";
      let isAnswered = false;
      const take = (bytes: number): boolean => {
        if (opening !== undefined) {
          opening += READ_BUFFER.toString("latin1", CARRIED_BYTES, CARRIED_BYTES + bytes);
          if (!isAnswered && followUp !== undefined && opening.includes(HEAD_END)) socket.write(followUp);
          isAnswered ||= opening.includes(HEAD_END);
          if (!opening.includes(ready)) return true;
          opening = undefined;
          resolve();
        }
        this.#take(scanner, bytes, found);
        return true;
      };
      const buffer = READ_BUFFER.subarray(CARRIED_BYTES);
      const socket = connect({ host: "127.0.0.1", port, onread: { buffer, callback: take } });
      const timer = setInterval(() => {
        if (keepAlive !== undefined && opening === undefined) socket.write(keepAlive);
      }, KEEP_ALIVE_INTERVAL_MS);
      this.#ends.push(() => {
        clearInterval(timer);
        socket.destroy();
      });
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("close", () => {
        reject(new Error(`The server closed a connection: ${opening ?? "after it was live"}`));
        if (!this.#closed) this.#fail(new Error("The server closed a connection."));
      });
      socket.write(request);
    });
  }

  #take(scanner: ChangeScanner, bytes: number, found: number[] | undefined): void {
    const before = scanner.events;
    try {
      scanner.push(READ_BUFFER, CARRIED_BYTES, CARRIED_BYTES + bytes, found);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (scanner.events === before) return;
    this.#events += scanner.events - before;
    this.#lastAtMs = monotonicMs();
    for (const sequence of found ?? []) this.#arrivals.push(sequence, this.#lastAtMs);
    if (found !== undefined) found.length = 0;
    this.#onEvents();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onEvents();
  }
}

const groups = new Map<string, Group>();

function groupOf(name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`There is no group ${name}.`);
  return group;
}

const calls: ChangeClientCalls = {
  async open({ group, target }) {
    const opened = new Group(target);
    groups.set(group, opened);
    await opened.open();
  },
  receive: ({ group, events, timeoutMs }) => groupOf(group).receive(events, timeoutMs),
  close(group) {
    groupOf(group).close();
    groups.delete(group);
  },
};

serveCalls(calls);
