import { Pool } from "pg";
import { pino } from "pino";
import { PostgresNotifySource } from "../../packages/server/src/source/postgres/notify-source.ts";
import type { PostgresNotifySourceOptions } from "../../packages/server/src/source/postgres/notify-source.ts";
import type { ChangeSource } from "../../packages/server/src/source/change-source.ts";
import { createDatabase } from "./postgres.ts";
import type { TestDatabase } from "./postgres.ts";
import { RecordingSink } from "./recording-sink.ts";
import { until } from "./until.ts";

/**
 * A database whose clients create tables in `public`. The server's user is named
 * `paperdb`, so without this its tables would go to the product's own schema.
 */
export async function createApplicationDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  const url = new URL(database.url);
  url.searchParams.set("options", "-c search_path=public");
  const pool = new Pool({ connectionString: url.href, max: 10 });
  // A test that ends connections ends these too; queries on them fail by themselves.
  pool.on("error", () => undefined);
  return {
    ...database,
    pool,
    query: (sql, params) => pool.query(sql, params === undefined ? undefined : [...params]),
    async drop() {
      await pool.end();
      await database.drop();
    },
  };
}

/** A source that records, and the events that were published in SQL. */
export interface TestSource<Source extends ChangeSource = ChangeSource> {
  readonly source: Source;
  readonly sink: RecordingSink;
  readonly published: readonly PublishedEvent[];
  /** Why published events may have been missed, each time. */
  readonly lostTopics: string[];
  watchedChannels(): number;
  watch(tenant: string, collection: string): Promise<string>;
  /** Everything that committed before this call has been received when it resolves. */
  settle(query: (sql: string, params: readonly unknown[]) => Promise<unknown>): Promise<void>;
}

/** An event as the bus gets it. */
interface PublishedEvent {
  readonly tenant: string;
  readonly topic: string;
  readonly data: string;
}

/** Opens a source of one mode, and waits until it is live. */
export type OpenTestSource = (
  options: Pick<PostgresNotifySourceOptions, "url" | "collections">,
) => Promise<TestSource>;

/** A source in mode `notify`. */
export type TestNotifySource = TestSource<PostgresNotifySource>;

/** Opens a source in mode `notify` that records what it pushes. */
export async function openTestSource(
  options: Pick<PostgresNotifySourceOptions, "url"> & Partial<PostgresNotifySourceOptions>,
): Promise<TestNotifySource> {
  const test = recordSource(
    (common) => new PostgresNotifySource({ ...common, ...options }),
    (source) => source.stats().listenedChannels,
  );
  await test.source.open();
  return test;
}

/** Makes a source that pushes into a recording sink. */
export function recordSource<Source extends ChangeSource>(
  create: (common: RecordedOptions) => Source,
  countWatched: (source: Source) => number,
): TestSource<Source> {
  const sink = new RecordingSink();
  const published: PublishedEvent[] = [];
  const lostTopics: string[] = [];
  const source = create({
    name: "postgres",
    sink,
    topics: {
      publish: (tenant, topic, data) => void published.push({ tenant, topic, data }),
      lost: (reason) => void lostTopics.push(reason),
    },
    log: pino({ level: process.env["TEST_LOG"] ?? "silent" }),
  });
  let barriers = 0;
  return {
    source,
    sink,
    published,
    lostTopics,
    watchedChannels: () => countWatched(source),
    watch: (tenant, collection) => source.watch({ tenant, collection }),
    async settle(query) {
      barriers += 1;
      const topic = `barrier.${String(barriers)}`;
      await query("select paperdb.publish('barrier', $1, 'null')", [topic]);
      await until(() => published.some((event) => event.topic === topic), { describe: topic });
    },
  };
}

type RecordedOptions = Pick<PostgresNotifySourceOptions, "name" | "sink" | "topics" | "log">;

/** Runs several statements on one connection, in one transaction unless they say otherwise. */
export async function runInTransaction(database: TestDatabase, statements: readonly string[]): Promise<void> {
  const client = await database.pool.connect();
  try {
    await client.query("begin");
    for (const statement of statements) await client.query(statement);
    await client.query("commit");
  } finally {
    client.release(true);
  }
}
