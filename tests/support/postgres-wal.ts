import { pino } from "pino";
import { PostgresWalSource } from "../../packages/server/src/source/postgres/wal/wal-source.ts";
import type { PostgresWalSourceOptions } from "../../packages/server/src/source/postgres/wal/wal-source.ts";
import { RecordingSink } from "./recording-sink.ts";
import { until } from "./until.ts";

/** A source in mode `wal` that records, and the events that were published in SQL. */
export interface TestWalSource {
  readonly source: PostgresWalSource;
  readonly sink: RecordingSink;
  readonly published: { readonly tenant: string; readonly topic: string; readonly data: string }[];
  /** Why published events may have been missed, each time. */
  readonly lostTopics: readonly string[];
  watch(tenant: string, collection: string): Promise<string>;
  /** Everything that committed before this call has been received when it resolves. */
  settle(query: (sql: string, params: readonly unknown[]) => Promise<unknown>): Promise<void>;
}

/** Opens a source that records what it pushes, and waits until it is live. */
export async function openTestWalSource(
  options: Pick<PostgresWalSourceOptions, "url"> & Partial<PostgresWalSourceOptions>,
): Promise<TestWalSource> {
  const test = createTestWalSource(options);
  await test.source.open();
  await until(() => test.source.state().live, { describe: () => JSON.stringify(test.source.state()) });
  return test;
}

/** The same, not yet opened. */
export function createTestWalSource(
  options: Pick<PostgresWalSourceOptions, "url"> & Partial<PostgresWalSourceOptions>,
): TestWalSource {
  const sink = new RecordingSink();
  const published: { tenant: string; topic: string; data: string }[] = [];
  const lostTopics: string[] = [];
  const source = new PostgresWalSource({
    name: "postgres",
    sink,
    topics: {
      publish: (tenant, topic, data) => void published.push({ tenant, topic, data }),
      lost: (reason) => void lostTopics.push(reason),
    },
    log: pino({ level: process.env["TEST_LOG"] ?? "silent" }),
    ...options,
  });
  let barriers = 0;
  return {
    source,
    sink,
    published,
    lostTopics,
    watch: (tenant, collection) => source.watch({ tenant, collection }),
    async settle(query) {
      barriers += 1;
      const topic = `barrier.${String(barriers)}`;
      await query("select paperdb.publish('barrier', $1, 'null')", [topic]);
      await until(() => published.some((event) => event.topic === topic), { describe: topic });
    },
  };
}
