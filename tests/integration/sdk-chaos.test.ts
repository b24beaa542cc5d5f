import { setTimeout as delay } from "node:timers/promises";
import { createClient, type ChangeEvent, type Client } from "paperdb";
import { expect, onTestFinished, test } from "vitest";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import { until } from "../support/until.ts";

const COLLECTIONS = ["messages", "notifications", "orders"];
const TOKEN_SECONDS = 2;
const BACKOFF = { minMs: 10, maxMs: 200 };

/** Writes rows to all collections in turn, numbered from 1 in each. */
class Writer {
  /** Rounds of rows that were begun. */
  begun = 0;
  readonly #database: TestDatabase;
  readonly #stopped = new AbortController();
  readonly #done: Promise<void>;

  constructor(database: TestDatabase) {
    this.#database = database;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.begun += 1;
      for (const name of COLLECTIONS) {
        await this.#database.query(`insert into ${name} (tenant_id, n) values ('alice', $1)`, [this.begun]);
      }
      await delay(1);
    }
  }

  /** Resolves once so many more rounds have been begun. */
  async progress(rounds: number): Promise<void> {
    const target = this.begun + rounds;
    await until(() => this.begun >= target, { timeoutMs: 60_000, intervalMs: 1, describe: "rows" });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
  }
}

/** What came without a break. */
interface Stretch {
  /** Rounds that were begun when the subscription knew that it was live, or was reset. */
  readonly begunBefore: number;
  readonly numbers: number[];
}

/** One subscription, and what came. */
class Watched {
  readonly stretches: Stretch[] = [];
  readonly errors: unknown[] = [];

  constructor(client: Client, collection: string, writer: Writer) {
    const startStretch = (): void => {
      this.stretches.push({ begunBefore: writer.begun, numbers: [] });
    };
    client.realtime.subscribe(
      collection,
      ({ data }: ChangeEvent) => {
        this.stretches.at(-1)?.numbers.push(Number(data["n"]));
      },
      {
        onStatus: (status) => {
          if (status === "live" && this.stretches.length === 0) startStretch();
        },
        onReset: startStretch,
        onError: (error) => this.errors.push(error),
      },
    );
  }

  get isLive(): boolean {
    return this.stretches.length > 0;
  }

  get last(): number | undefined {
    return this.stretches.at(-1)?.numbers.at(-1);
  }
}

/** Each stretch is complete, and nothing came twice. */
function expectComplete({ stretches, errors }: Watched, total: number): void {
  expect(errors).toEqual([]);
  for (const { begunBefore, numbers } of stretches) {
    const [first] = numbers;
    if (first === undefined) continue;
    expect(first).toBeLessThanOrEqual(begunBefore + 1);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => first + index));
  }
  const all = stretches.flatMap(({ numbers }) => numbers);
  expect(new Set(all).size).toBe(all.length);
  expect(all.at(-1)).toBe(total);
}

interface Scene {
  readonly server: ServerProcess;
  readonly proxy: TcpProxy;
  readonly writer: Writer;
  readonly watched: readonly Watched[];
}

/** Two clients, one with the key and one with `getToken`, each subscribed to all collections. */
async function openScene(): Promise<Scene> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  for (const name of COLLECTIONS) {
    await database.query(
      `create table ${name} (id int generated always as identity primary key, tenant_id text not null, n int not null)`,
    );
  }
  const server = await startServerProcess({
    databaseUrl: database.url,
    settings: { plans: { pro: { maxTokenSeconds: TOKEN_SECONDS } } },
  });
  onTestFinished(() => server.stop());
  const { secretKey } = await server.createTenant("alice");
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  const backend = createClient({ apiKey: secretKey, baseUrl: proxy.url });
  const clients: Client[] = [
    createClient({ apiKey: secretKey, baseUrl: proxy.url, backoff: BACKOFF }),
    createClient({
      baseUrl: proxy.url,
      backoff: BACKOFF,
      getToken: ({ collections, signal }) =>
        backend.realtime.generateToken({ collections, expiresIn: TOKEN_SECONDS, signal }),
    }),
  ];
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  const writer = new Writer(database);
  onTestFinished(() => writer.stop());
  const watched = clients.flatMap((client) =>
    COLLECTIONS.map((collection) => new Watched(client, collection, writer)),
  );
  await until(() => watched.every(({ isLive }) => isLive), { timeoutMs: 30_000, describe: "all live" });
  return { server, proxy, writer, watched };
}

/** Waits until all are back, stops writing, and waits until the last row has come everywhere. */
async function settle({ writer, watched }: Scene): Promise<void> {
  const waitForRow = (row: number): Promise<unknown> =>
    until(() => watched.every(({ last = 0 }) => last >= row), {
      timeoutMs: 60_000,
      describe: () =>
        `row ${row} everywhere, got ${watched.map(({ last, errors }) => [last, ...errors].join(" ")).join(", ")}`,
    });
  await waitForRow(writer.begun + 1);
  await writer.stop();
  await waitForRow(writer.begun);
  for (const one of watched) expectComplete(one, writer.begun);
}

test("the network is cut again and again: every event once, in order, and never a reset", async () => {
  const scene = await openScene();
  const { proxy, writer, watched } = scene;
  const random = seededRandom(20_240_607);
  while (writer.begun < 1_500) {
    await writer.progress(10 + 90 * random());
    await proxy.cut();
    await writer.progress(1 + 30 * random());
    await proxy.mend();
  }
  await settle(scene);
  expect(watched.map(({ stretches }) => stretches.length)).toEqual(watched.map(() => 1));
}, 300_000);

test("the server is killed again and again as well: every event once, in order, or a reset", async () => {
  const scene = await openScene();
  const { server, proxy, writer, watched } = scene;
  const random = seededRandom(7);
  for (let kills = 0; kills < 4;) {
    await writer.progress(20 + 100 * random());
    await proxy.cut();
    if (random() < 0.4) {
      kills += 1;
      await server.kill();
      await server.start();
    }
    await writer.progress(1 + 30 * random());
    await proxy.mend();
  }
  await settle(scene);
  for (const { stretches } of watched) expect(stretches.length).toBeGreaterThan(1);
}, 300_000);
