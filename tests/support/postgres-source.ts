import { Pool } from "pg";
import { pino } from "pino";
import { PostgresNotifySource } from "../../packages/server/src/source/postgres/notify-source.ts";
import type { PostgresNotifySourceOptions } from "../../packages/server/src/source/postgres/notify-source.ts";
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
export interface TestSource {
  readonly source: PostgresNotifySource;
  readonly sink: RecordingSink;
  readonly published: { readonly tenant: string; readonly topic: string; readonly data: string }[];
  watch(tenant: string, collection: string): Promise<string>;
  /** Everything that committed before this call has been received when it resolves. */
  settle(query: (sql: string, params: readonly unknown[]) => Promise<unknown>): Promise<void>;
}

/** Opens a source that records what it pushes. */
export async function openTestSource(
  options: Pick<PostgresNotifySourceOptions, "url"> & Partial<PostgresNotifySourceOptions>,
): Promise<TestSource> {
  const sink = new RecordingSink();
  const published: { tenant: string; topic: string; data: string }[] = [];
  const source = new PostgresNotifySource({
    name: "postgres",
    sink,
    topics: { publish: (tenant, topic, data) => published.push({ tenant, topic, data }) },
    log: pino({ level: "silent" }),
    ...options,
  });
  await source.open();
  let barriers = 0;
  return {
    source,
    sink,
    published,
    watch: (tenant, collection) => source.watch({ tenant, collection }),
    async settle(query) {
      barriers += 1;
      const topic = `barrier.${String(barriers)}`;
      await query("select paperdb.publish('barrier', $1, 'null')", [topic]);
      await until(() => published.some((event) => event.topic === topic), { describe: topic });
    },
  };
}

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
