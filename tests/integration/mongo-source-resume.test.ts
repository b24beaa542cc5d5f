import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type {
  DeliveryTarget,
  FrameFormat,
  FrameWriter,
  Greeting,
} from "../../packages/server/src/hub/delivery.ts";
import { Hub } from "../../packages/server/src/hub/hub.ts";
import type { Subscription } from "../../packages/server/src/hub/subscription.ts";
import { MemoryLog } from "../../packages/server/src/log/memory/memory-log.ts";
import { MongoSource } from "../../packages/server/src/source/mongodb/mongo-source.ts";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import type { TestDocument } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

const HUB = {
  lingerMs: 0,
  maxLingeringChannels: 0,
  maxBufferedBytes: 1e9,
  maxSliceBytes: 65_536,
  writeTimeoutMs: 60_000,
  heartbeatIntervalMs: 300,
  maxSharedBytes: 1e9,
};
const HISTORY = { maxEventsPerChannel: 1e6, maxBytesPerChannel: 1e9, maxBytesTotal: 1e9, maxAgeMs: 1_000 };
const observer = { delivered() {}, offered() {}, reset() {}, slowConsumer() {} };

const LINES: FrameFormat = {
  namesChannel: false,
  event: ({ body }, cursor) => Buffer.from(`event ${cursor} ${"topic" in body ? "" : body.documentId}\n`),
  heartbeat: (cursor) => Buffer.from(`heartbeat ${cursor}\n`),
};

/** A client that keeps its cursor, as EventSource does. */
class Client implements DeliveryTarget, FrameWriter {
  readonly keepsUp = true;
  get writer(): this {
    return this;
  }
  readonly tenant: string;
  readonly ids: number[] = [];
  resets = 0;
  resumes = 0;
  cursor: string | undefined;
  subscription: Subscription | undefined;

  constructor(tenant: string) {
    this.tenant = tenant;
  }

  greet({ cursor, resumed, resetReason }: Greeting): boolean {
    if (resetReason !== undefined) this.resets += 1;
    if (resumed) this.resumes += 1;
    this.cursor = cursor;
    return true;
  }

  write(frames: Buffer): boolean {
    for (const line of frames.toString().trimEnd().split("\n")) {
      const [kind, cursor = "", value] = line.split(" ");
      this.cursor = cursor;
      if (kind === "event") this.ids.push(Number(value));
    }
    return true;
  }

  end(): void {
    this.subscription = undefined;
  }
}

let database: TestMongoDatabase;
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  database = await createMongoDatabase();
  await database.createCollection("todos", true);
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await database.drop();
});

async function startServer() {
  const log = new MemoryLog(HISTORY);
  const hub = new Hub(log, HUB, observer);
  const source = new MongoSource({
    name: "mongodb",
    url: database.url,
    sink: log.sinkFor("mongodb"),
    log: pino({ level: "silent" }),
    settings: { leaveDelayMs: 300 },
  });
  await source.open();
  const close = async (): Promise<void> => {
    hub.close();
    log.stop();
    await source.close();
  };
  closers.push(close);
  return { hub, source, close };
}

describe("clients that go and come back with their cursors", () => {
  it("get everything once and in order, over forgotten histories, left channels and new servers", async () => {
    const clients = ["a", "a", "b", "b", "c"].map((tenant) => new Client(tenant));
    const owed = new Map<string, number[]>([
      ["a", []],
      ["b", []],
      ["c", []],
    ]);
    let server = await startServer();
    const connect = async (client: Client): Promise<void> => {
      const key = { tenant: client.tenant, collection: "todos" };
      const { cursor } = client;
      const { hub, source } = server;
      const channel = await hub.open(source, key, cursor);
      const request = { target: client, format: LINES, filter: undefined, cursor };
      client.subscription = hub.subscribe(channel, request);
    };
    const disconnect = ({ subscription }: Client): void => {
      if (subscription !== undefined) server.hub.unsubscribe(subscription);
    };
    await Promise.all(clients.map(connect));

    const stopping = new AbortController();
    const writing = (async () => {
      const todos = database.db.collection<TestDocument>("todos");
      for (let n = 1; !stopping.signal.aborted; n += 1) {
        const tenant = ["a", "b", "c", "nobody"][n % 4] ?? "";
        await todos.insertOne({ _id: n, tenantId: tenant });
        owed.get(tenant)?.push(n);
      }
    })();
    // Long enough away for the history to be forgotten, the channel to be left, or neither.
    const awayMs = [0, 5, 400, 1_200, 2_600];
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        clients.map(async (client, index) => {
          await delay(50 * index);
          disconnect(client);
          await delay(awayMs[(index + round) % awayMs.length]);
          await connect(client);
        }),
      );
      if (round < 2) {
        for (const client of clients) disconnect(client);
        await server.close();
        server = await startServer();
        await Promise.all(clients.map(connect));
      }
    }
    stopping.abort();
    await writing;
    await until(() => clients.every(({ tenant, ids }) => ids.at(-1) === owed.get(tenant)?.at(-1)));
    for (const { tenant, ids, resets, resumes } of clients) {
      expect(ids).toEqual(owed.get(tenant));
      expect(resets).toBe(0);
      expect(resumes).toBe(5);
    }
  });
});
