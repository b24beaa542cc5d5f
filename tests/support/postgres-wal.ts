import { randomBytes } from "node:crypto";
import { PostgresWalSource } from "../../packages/server/src/source/postgres/wal/wal-source.ts";
import type { PostgresWalSourceOptions } from "../../packages/server/src/source/postgres/wal/wal-source.ts";
import { recordSource } from "./postgres-source.ts";
import type { TestSource } from "./postgres-source.ts";
import { until } from "./until.ts";

/** A source in mode `wal`. */
export type TestWalSource = TestSource<PostgresWalSource>;

type Options = Pick<PostgresWalSourceOptions, "url"> & Partial<PostgresWalSourceOptions>;

/** Opens a source in mode `wal` that records what it pushes, and waits until it is live. */
export async function openWalSource(options: Options): Promise<TestWalSource> {
  const test = createWalSource(options);
  await test.source.open();
  // Making a slot waits for open transactions, those of tests beside this one too.
  await until(() => test.source.state().live, {
    describe: () => JSON.stringify(test.source.state()),
  });
  return test;
}

/** The same, not yet opened; without a `slot` it has one of its own. */
export function createWalSource({
  slot = `test_${randomBytes(6).toString("hex")}`,
  ...options
}: Options): TestWalSource {
  return recordSource(
    (common) => new PostgresWalSource({ ...common, slot, ...options }),
    (source) => source.stats().watchedChannels,
  );
}
