import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { QueryResultRow } from "pg";
import { onTestFinished } from "vitest";
import type { EmbeddedPostgresOptions } from "../../packages/server/src/embedded/embedded-postgres.ts";
import {
  fetchPostmasterFile,
  isAlive,
  isPostmasterOf,
} from "../../packages/server/src/embedded/postmaster-file.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** The options of an embedded PostgreSQL on a new folder; both are gone when the test is. */
export async function newEmbeddedOptions(): Promise<EmbeddedPostgresOptions> {
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-embedded-"));
  onTestFinished(async () => {
    const cluster = join(dataDir, "postgres");
    const left = await fetchPostmasterFile(cluster);
    if (left !== undefined && (await isPostmasterOf(left.pid, cluster))) {
      process.kill(left.pid, "SIGQUIT");
      await until(async () => !(await isAlive(left.pid)), { describe: "the end of PostgreSQL" });
    }
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
  });
  return { dataDir, port: await freePort(), password: "first password: ü/@?", fsync: false };
}

/** Runs one statement on a connection of its own. */
export async function queryOnce<Row extends QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  // Of a server that a test ends: what is under way fails by itself.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}
