import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import type { EmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import { isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** How a test's own server is started. */
export interface OwnPostgresOptions {
  readonly binDir?: string | undefined;
  /** Server settings besides the product's. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A PostgreSQL server that belongs to one test or run: it is not restarted by itself. */
export interface TestPostgres {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server's main process at once (default SIGKILL) and resolves once it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again, on the same folder and port. */
  start(): Promise<void>;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
}

/** Starts a PostgreSQL by the product's own launcher, without syncs to disk. */
export async function startOwnPostgres({
  binDir,
  settings = {},
}: OwnPostgresOptions = {}): Promise<TestPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-postgres-"));
  // PostgreSQL before 16 leaves its folder at start and comes back by the full path.
  await chmod(dataDir, 0o755);
  const port = await freePort();
  const launch = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({
      dataDir,
      port,
      password: "test",
      fsync: false,
      restart: false,
      // Files run side by side, and each test of the replication stream has slots of its own.
      settings: { max_replication_slots: "100", max_wal_senders: "100", ...settings },
      ...(binDir === undefined ? {} : { binDir }),
    });
  let server = await launch();
  return {
    get url() {
      return server.url;
    },
    port,
    get pid() {
      return server.pid;
    },
    async kill(signal = "SIGKILL") {
      const { pid } = server;
      process.kill(pid, signal);
      await until(async () => !(await isAlive(pid)), { describe: `end of PostgreSQL ${pid} by ${signal}` });
      await server.close();
    },
    async start() {
      server = await launch();
    },
    async stop() {
      await server.close();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
