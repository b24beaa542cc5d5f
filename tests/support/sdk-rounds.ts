import { setTimeout as delay } from "node:timers/promises";
import { createClient, type ChangeEvent, type Client } from "paperdb";
import { expect, onTestFinished } from "vitest";
import type { TestDatabase } from "./postgres.ts";
import { until } from "./until.ts";

type Queryable = Pick<TestDatabase, "query">;

const TOKEN_SECONDS = 2;
const BACKOFF = { minMs: 10, maxMs: 200 };

/** Of servers whose clients are followed: all accept each other's tokens, and those do not last. */
export const ROUNDS_SETTINGS = {
  tokenSecret: "a-secret-of-the-tests-with-32-characters",
  plans: { pro: { maxTokenSeconds: TOKEN_SECONDS } },
};

/** The collections that rounds of rows are written to. */
export const ROUND_COLLECTIONS: readonly string[] = ["messages", "notifications", "orders"];

/** Creates the tables of {@link ROUND_COLLECTIONS}. */
export async function createRoundTables(database: Queryable): Promise<void> {
  for (const name of ROUND_COLLECTIONS) {
    await database.query(
      `create table public.${name} (id int generated always as identity primary key, tenant_id text not null, n int not null)`,
    );
  }
}

/** Writes row `n` of a collection: resolves once it is there, once. */
export type WriteRow = (collection: string, n: number) => Promise<unknown>;

/** @param survives - whether it goes on when the database is gone for a while. */
export function rowsOf(database: Queryable, survives = false): WriteRow {
  return async (name, n) => {
    try {
      await database.query(`insert into public.${name} (tenant_id, n) values ('alice', $1)`, [n]);
    } catch (error) {
      if (!survives) throw error;
      // Whether it was committed nobody knows.
      await untilWritten(() =>
        database.query(
          `insert into public.${name} (tenant_id, n) select 'alice', $1::int
           where not exists (select from public.${name} where n = $1::int)`,
          [n],
        ),
      );
    }
  };
}

/** Tries a write until it succeeds. */
export async function untilWritten(write: () => Promise<unknown>): Promise<void> {
  const attempt = (): Promise<boolean> =>
    write().then(
      () => true,
      () => false,
    );
  await until(attempt, { describe: "a database that can be written to" });
}

/** Writes rows to all collections in turn, numbered from 1 in each. */
class RoundsWriter {
  /** Rounds of rows that were begun. */
  begun = 0;
  readonly #write: WriteRow;
  readonly #stopped = new AbortController();
  readonly #done: Promise<void>;

  constructor(write: WriteRow) {
    this.#write = write;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.begun += 1;
      for (const name of ROUND_COLLECTIONS) await this.#write(name, this.begun);
      await delay(1);
    }
  }

  /** Resolves once so many more rounds have been begun. */
  async progress(rounds: number): Promise<void> {
    const target = this.begun + rounds;
    await until(() => this.begun >= target, { intervalMs: 1, describe: "rows" });
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

/** One subscription of an SDK client, and what came. */
class RoundsFollower {
  readonly stretches: Stretch[] = [];
  readonly errors: unknown[] = [];

  constructor(client: Client, collection: string, writer: RoundsWriter) {
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

/** A writer, and who follows what it writes. */
export interface Rounds {
  readonly writer: RoundsWriter;
  readonly followers: readonly RoundsFollower[];
}

/** Two clients, one with the key and one with `getToken`, follow all collections while these are written to. */
export async function followRounds(secretKey: string, baseUrl: string, write: WriteRow): Promise<Rounds> {
  const backend = createClient({ apiKey: secretKey, baseUrl });
  const clients = [
    createClient({ apiKey: secretKey, baseUrl, backoff: BACKOFF }),
    createClient({
      baseUrl,
      backoff: BACKOFF,
      getToken: ({ collections, signal }) =>
        backend.realtime.generateToken({ collections, expiresIn: TOKEN_SECONDS, signal }),
    }),
  ];
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  const writer = new RoundsWriter(write);
  onTestFinished(() => writer.stop());
  const followers = clients.flatMap((client) =>
    ROUND_COLLECTIONS.map((collection) => new RoundsFollower(client, collection, writer)),
  );
  await until(() => followers.every(({ isLive }) => isLive), { describe: "all live" });
  return { writer, followers };
}

/** Waits until all are back, stops writing, and waits until the last row has come everywhere, in order and without gaps. */
export async function settleRounds({ writer, followers }: Rounds): Promise<void> {
  const waitForRow = (row: number): Promise<unknown> =>
    until(() => followers.every(({ last = 0 }) => last >= row), {
      describe: () =>
        `row ${row} everywhere, got ${followers.map(({ last, errors }) => [last, ...errors].join(" ")).join(", ")}`,
    });
  await waitForRow(writer.begun + 1);
  await writer.stop();
  await waitForRow(writer.begun);
  for (const follower of followers) expectComplete(follower, writer.begun);
}

/** Nobody was reset, ever. */
export function expectNoResets({ followers }: Rounds): void {
  expect(followers.map(({ stretches }) => stretches.length)).toEqual(followers.map(() => 1));
}

/** Each stretch is complete, and nothing came twice. */
function expectComplete({ stretches, errors }: RoundsFollower, total: number): void {
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
