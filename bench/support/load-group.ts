import { performance } from "node:perf_hooks";
import type { Exchange, FanOutServer } from "./fan-out-server.ts";
import { LatencyHistogram, type LatencySummary } from "./latency-histogram.ts";
import { LoadConnection, type LoadConnectionListener } from "./load-connection.ts";
import { LoadPublisher } from "./load-publisher.ts";
import { nextLocalAddress } from "./local-addresses.ts";

/** What can be told to another process of a server. */
export type LoadServer = Pick<FanOutServer, "port" | "greeting" | "publish" | "pong" | "chunked">;

/** How a group's connections are opened. */
export interface OpenOptions {
  readonly connections: number;
  /** Not more than so many; default: as fast as the server takes them. */
  readonly perSecond?: number | undefined;
  /** In place of the server's greeting, taken in turns: a token for each connection, say. */
  readonly greetings?: readonly (readonly Exchange[])[];
}

/** What a group is sent. */
export interface RunOptions {
  readonly events: number;
  /** Default: all at once. */
  readonly perSecond?: number | undefined;
  /** The same again, each time after all have got everything. Default 1. */
  readonly repeat?: number;
  /** Without a delivery for so long, what is missing is lost. Default 5 s. */
  readonly stallMs?: number;
  /** What has not come so long after the last publish is lost. Default: as long as something comes. */
  readonly withinMs?: number;
}

/** What a group got. */
export interface RunResult {
  readonly expected: number;
  /** In order, and each once. */
  readonly delivered: number;
  readonly lost: number;
  /** Events that came again, or after a later one. */
  readonly outOfOrder: number;
  /** Connections that the server has closed since they were opened. */
  readonly disconnected: number;
  /** From the first publish of each repetition until the last delivery. */
  readonly seconds: number;
  readonly bytes: number;
  readonly reads: number;
  /** From the moment at which a publish was written until an event was found in what was read. */
  readonly latency: LatencySummary;
}

const CONNECTING_AT_ONCE = 256;
const STALL_MS = 5000;
const STALL_POLL_MS = 50;

/** Connections to one server that are opened and read together, and their publisher. */
export class LoadGroup implements LoadConnectionListener {
  readonly #server: LoadServer;
  readonly #publisher: LoadPublisher;
  readonly #connections: LoadConnection[] = [];
  #nextSequence = 1;
  #run = new Run(0, 0, 0);
  #disconnected = 0;
  #opening: { left: number; connecting: number; settle(error?: Error): void; next(): void } | undefined;

  constructor(server: LoadServer) {
    this.#server = server;
    this.#publisher = new LoadPublisher(server.publish);
  }

  /** Resolves once all are live, to how long it took. */
  async open({ connections, perSecond, greetings = [this.#server.greeting] }: OpenOptions): Promise<number> {
    const startedAtMs = performance.now();
    let opened = 0;
    let pacing: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      const next = (): void => {
        const dueNow =
          perSecond === undefined
            ? connections
            : Math.min(connections, ((performance.now() - startedAtMs) * perSecond) / 1000 + 1);
        while (opened < dueNow && (this.#opening?.connecting ?? 0) < CONNECTING_AT_ONCE) {
          this.#connect(greetings[opened % greetings.length] ?? []);
          opened += 1;
        }
      };
      const settle = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      this.#opening = { left: connections, connecting: 0, settle, next };
      if (connections === 0) resolve();
      if (perSecond !== undefined) pacing = setInterval(next, 1);
      next();
    }).finally(() => {
      clearInterval(pacing);
      this.#opening = undefined;
    });
    return (performance.now() - startedAtMs) / 1000;
  }

  /** Publishes, and resolves once all that read have everything, or nothing comes any more. */
  async run({
    events,
    perSecond,
    repeat = 1,
    stallMs = STALL_MS,
    withinMs = Number.POSITIVE_INFINITY,
  }: RunOptions): Promise<RunResult> {
    await this.#publisher.open();
    const reading = this.#connections.filter((each) => each.open && each.reading);
    const run = new Run(this.#nextSequence, events, reading.length * events * repeat);
    this.#run = run;
    for (const connection of reading) connection.expected = this.#nextSequence;
    for (let repetition = 1; repetition <= repeat; repetition += 1) {
      run.begin(this.#nextSequence);
      await this.#publish(run, events, perSecond);
      await run.untilDelivered(reading.length * events * repetition, { stallMs, withinMs });
      if (run.isComplete(reading.length * events * repetition)) await this.#publisher.untilAnswered(events);
      run.end();
    }
    return { ...run.result(), disconnected: this.#disconnected };
  }

  /** Connections that the server has closed since they were opened. */
  get disconnected(): number {
    return this.#disconnected;
  }

  /** So many of those that read do not read any more. */
  pauseReading(count: number): void {
    const reading = this.#connections.filter((each) => each.open && each.reading).slice(0, count);
    for (const connection of reading) connection.pause();
  }

  /** All read again. What comes of before the next run is not counted. */
  resumeReading(): void {
    for (const connection of this.#connections) if (!connection.reading) connection.resume();
  }

  close(): void {
    this.#publisher.close();
    for (const connection of this.#connections) connection.close();
    this.#connections.length = 0;
  }

  live(): void {
    const opening = this.#opening;
    if (opening === undefined) return;
    opening.left -= 1;
    opening.connecting -= 1;
    if (opening.left === 0) opening.settle();
    else opening.next();
  }

  read(bytes: number): void {
    this.#run.read(bytes);
  }

  sequence(connection: LoadConnection, sequence: number): void {
    if (sequence < this.#run.firstSequence) return;
    if (sequence < connection.expected) this.#run.outOfOrder += 1;
    else {
      this.#run.deliver(sequence);
      connection.expected = sequence + 1;
    }
  }

  gone(_connection: LoadConnection, reason: string): void {
    this.#disconnected += 1;
    this.#opening?.settle(new Error(`A connection did not become live: ${reason}.`));
  }

  #connect(greeting: readonly Exchange[]): void {
    const { port, pong, chunked } = this.#server;
    if (this.#opening !== undefined) this.#opening.connecting += 1;
    const localAddress = nextLocalAddress();
    this.#connections.push(new LoadConnection({ port, greeting, pong, chunked, localAddress }, this));
  }

  async #publish(run: Run, events: number, perSecond: number | undefined): Promise<void> {
    const startedAtMs = performance.now();
    const first = this.#nextSequence;
    this.#nextSequence += events;
    for (let published = 0; published < events;) {
      const due =
        perSecond === undefined
          ? events
          : Math.min(events, Math.floor(((performance.now() - startedAtMs) * perSecond) / 1000) + 1);
      if (due > published) run.published(first + published, due - published, this.#publisher);
      published = Math.max(published, due);
      if (published < events && perSecond !== undefined) {
        const waitMs = startedAtMs + (published * 1000) / perSecond - performance.now();
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }
}

/** The account of one run. */
class Run {
  /** Those before belong to an earlier run. */
  readonly firstSequence: number;
  readonly #sentAtMs: Float64Array;
  readonly #expected: number;
  readonly #latency = new LatencyHistogram();
  #repetitionStart = 0;
  #delivered = 0;
  #bytes = 0;
  #reads = 0;
  #readAtMs = 0;
  #seconds = 0;
  #startedAtMs = 0;
  #wanted = Number.POSITIVE_INFINITY;
  #settle: (() => void) | undefined;
  outOfOrder = 0;

  constructor(firstSequence: number, events: number, expected: number) {
    this.firstSequence = firstSequence;
    this.#sentAtMs = new Float64Array(events);
    this.#expected = expected;
  }

  begin(firstSequence: number): void {
    this.#repetitionStart = firstSequence;
    this.#startedAtMs = performance.now();
  }

  published(first: number, count: number, publisher: LoadPublisher): void {
    const from = first - this.#repetitionStart;
    this.#sentAtMs.fill(publisher.publish(first, count), from, from + count);
  }

  read(bytes: number): void {
    this.#bytes += bytes;
    this.#reads += 1;
    this.#readAtMs = performance.now();
  }

  deliver(sequence: number): void {
    this.#delivered += 1;
    const sentAtMs = this.#sentAtMs[sequence - this.#repetitionStart];
    if (sentAtMs !== undefined) this.#latency.record(this.#readAtMs - sentAtMs);
    if (this.#delivered === this.#wanted) this.#settle?.();
  }

  /** Whether so many were delivered since the beginning. */
  isComplete(count: number): boolean {
    return this.#delivered >= count;
  }

  /** Resolves when so many were delivered since the beginning, or nothing comes any more. */
  async untilDelivered(count: number, limits: { stallMs: number; withinMs: number }): Promise<void> {
    if (this.isComplete(count)) return;
    this.#wanted = count;
    let polling: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      const waitingSinceMs = performance.now();
      polling = setInterval(() => {
        const lastMs = Math.max(waitingSinceMs, this.#readAtMs);
        const nowMs = performance.now();
        if (nowMs - lastMs > limits.stallMs || nowMs - waitingSinceMs > limits.withinMs) resolve();
      }, STALL_POLL_MS);
    });
    clearInterval(polling);
    this.#settle = undefined;
  }

  end(): void {
    this.#seconds += Math.max(0, this.#readAtMs - this.#startedAtMs) / 1000;
  }

  result(): Omit<RunResult, "disconnected"> {
    return {
      expected: this.#expected,
      delivered: this.#delivered,
      lost: this.#expected - this.#delivered,
      outOfOrder: this.outOfOrder,
      seconds: this.#seconds,
      bytes: this.#bytes,
      reads: this.#reads,
      latency: this.#latency.summary(),
    };
  }
}
