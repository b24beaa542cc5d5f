import { setTimeout as delay } from "node:timers/promises";
import { MongoClient, type ChangeStream } from "mongodb";
import pino from "pino";
import { MongoSource } from "../../packages/server/src/source/mongodb/mongo-source.ts";
import { monotonicMs } from "./clock.ts";
import { serveCalls } from "./worker-process.ts";

/** How tenants' changes are told apart: by our source, or by a change stream for each tenant. */
export type StreamVariant = "ours" | "naive";

/** What a process that reads changes is asked to open. */
export interface StreamTarget {
  /** With the database as its path. */
  readonly url: string;
  readonly database: string;
  readonly collection: string;
}

/** What came, and what it cost this process. */
export interface Received {
  readonly events: number;
  /** On the monotonic clock: when the last of them came. */
  readonly lastAtMs: number;
  readonly cpuMs: number;
}

/** How long joins took. */
export interface Joined {
  /** Of each tenant, from its request until it was live. */
  readonly joinMs: readonly number[];
  /** From the first request until the last tenant was live. */
  readonly totalMs: number;
  /** When each tenant was live, on the monotonic clock. */
  readonly liveAtMs: readonly number[];
  /** How often the stream was opened. */
  readonly opens: number;
}

/** The calls of a process that reads changes. */
export interface StreamCalls {
  [call: string]: (argument: never) => unknown;
  open(argument: StreamTarget & { variant: StreamVariant }): Promise<void>;
  /** Makes tenants `t0` … live, asked for at even intervals. */
  join(argument: { tenants: number; spreadMs: number }): Promise<Joined>;
  /** Starts counting anew, CPU included. */
  reset(argument: Record<string, never>): void;
  /** Resolves once so many events have come, or the time is up. */
  receive(argument: { events: number; timeoutMs: number }): Promise<Received>;
  /** The `n` of each event that came, by tenant. */
  numbers(argument: Record<string, never>): Record<string, number[]>;
  close(argument: Record<string, never>): Promise<void>;
}

/** Room for connections that are no streams. */
const SPARE_CONNECTIONS = 20;
const MAX_STREAMS = 2000;

let target: StreamTarget | undefined;
let source: MongoSource | undefined;
let client: MongoClient | undefined;
let streams: ChangeStream[] = [];
const received = { events: 0, lastAtMs: 0 };
let cpu = process.cpuUsage();
let numbers = new Map<string, number[]>();

const calls: StreamCalls = {
  async open({ variant, ...place }) {
    target = place;
    if (variant === "naive") {
      client = new MongoClient(place.url, { maxPoolSize: MAX_STREAMS + SPARE_CONNECTIONS });
      await client.connect();
      return;
    }
    source = new MongoSource({
      name: "bench",
      url: place.url,
      database: place.database,
      sink: {
        append: (changes) => {
          for (const { channel, body } of changes) {
            if ("document" in body) count(channel.tenant, JSON.parse(body.document));
          }
        },
        lost: (_channels, _position, reason) => fail(`changes were lost: ${reason}`),
        dropped: () => fail("the collection was dropped"),
      },
      log: pino({ level: "warn" }),
      settings: {},
    });
    await source.open();
  },
  async join({ tenants, spreadMs }) {
    const startedAtMs = monotonicMs();
    const joins = await Promise.all(
      Array.from({ length: tenants }, async (_, index) => {
        if (spreadMs > 0) await delay((index * spreadMs) / tenants);
        const askedAtMs = monotonicMs();
        await watch(`t${String(index)}`);
        const liveAtMs = monotonicMs();
        return { liveAtMs, joinMs: liveAtMs - askedAtMs };
      }),
    );
    return {
      joinMs: joins.map(({ joinMs }) => joinMs),
      totalMs: monotonicMs() - startedAtMs,
      liveAtMs: joins.map(({ liveAtMs }) => liveAtMs),
      opens: source?.stats().opens ?? streams.length,
    };
  },
  reset() {
    received.events = 0;
    numbers = new Map();
    cpu = process.cpuUsage();
  },
  async receive({ events: wanted, timeoutMs }) {
    const deadlineMs = monotonicMs() + timeoutMs;
    while (received.events < wanted && monotonicMs() < deadlineMs) await delay(2);
    const { user, system } = process.cpuUsage(cpu);
    return { ...received, cpuMs: (user + system) / 1000 };
  },
  numbers() {
    return Object.fromEntries(numbers);
  },
  async close() {
    await Promise.all(streams.map((stream) => stream.close()));
    await client?.close();
    await source?.close();
    streams = [];
    client = undefined;
    source = undefined;
  },
};

async function watch(tenant: string): Promise<void> {
  if (target === undefined) throw new Error("Nothing is open.");
  const { collection, database } = target;
  if (source !== undefined) {
    await source.watch({ tenant, collection });
    return;
  }
  if (client === undefined) throw new Error("Nothing is open.");
  const match = [{ "fullDocument.tenantId": tenant }, { "fullDocumentBeforeChange.tenantId": tenant }];
  const stream = client
    .db(database)
    .collection(collection)
    .watch([{ $match: { $or: match } }], {
      fullDocument: "updateLookup",
      fullDocumentBeforeChange: "whenAvailable",
    });
  streams.push(stream);
  stream.on("error", (error) => fail(String(error)));
  const live = new Promise((resolve) => stream.once("resumeTokenChanged", resolve));
  stream.on("change", (change) => {
    if (!("fullDocument" in change) || change.fullDocument === undefined) return;
    count(tenant, JSON.parse(JSON.stringify(change.fullDocument)));
  });
  await live;
}

function count(tenant: string, document: { readonly n?: number }): void {
  received.events += 1;
  received.lastAtMs = monotonicMs();
  const list = numbers.get(tenant);
  if (list === undefined) numbers.set(tenant, [document.n ?? -1]);
  else list.push(document.n ?? -1);
}

function fail(reason: string): void {
  process.stderr.write(`A stream of the benchmark failed: ${reason}\n`);
  process.exit(1);
}

serveCalls(calls);
