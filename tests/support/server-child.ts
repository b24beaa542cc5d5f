import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startCommandLine, type RunningCommand } from "./command-line.ts";
import { freePort } from "./free-port.ts";
import { createTenant, type TestTenant } from "./tenant.ts";
import { until } from "./until.ts";

/** Where a server of a test's own gets its databases from. */
export interface ServerProcessOptions {
  /** Without it: the embedded PostgreSQL. */
  readonly databaseUrl?: string;
  readonly mongodbUrl?: string;
  /** What the configuration file says. */
  readonly settings?: ConfigInput;
}

/** The built server as a process that a test can kill; it keeps its port and data folder. */
export interface ServerProcess {
  readonly url: string;
  readonly adminKey: string;
  /** Of the embedded PostgreSQL. */
  readonly postgresUrl: string;
  /** What it has printed since its last start. */
  output(): string;
  createTenant(id: string): Promise<TestTenant>;
  /** Ends it at once, without a goodbye. */
  kill(): Promise<void>;
  /** Ends it as an operator does. */
  end(): Promise<void>;
  /** Starts it again, and resolves once it listens. */
  start(): Promise<void>;
  /** Resolves once its sources are live: making a slot waits for open transactions, those of tests beside this one too. */
  untilReady(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

const ADMIN_KEY = "test-admin-key";
const PG_PASSWORD = "test";
/** On a machine that does other things too. */
const START_TIMEOUT_MS = 90_000;

/** Starts `paperdb-realtime start`, as built. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { databaseUrl, mongodbUrl, settings = {} } = options;
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-process-"));
  await writeFile(join(dataDir, "paperdb.config.json"), JSON.stringify({ logLevel: "warn", ...settings }));
  const port = await freePort();
  const pgPort = await freePort();
  const url = `http://127.0.0.1:${String(port)}`;
  const env = {
    PORT: String(port),
    PAPERDB_DATA_DIR: dataDir,
    PAPERDB_ADMIN_KEY: ADMIN_KEY,
    PAPERDB_PG_PORT: String(pgPort),
    PAPERDB_PG_PASSWORD: PG_PASSWORD,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    ...(mongodbUrl === undefined ? {} : { MONGODB_URL: mongodbUrl }),
  };
  const launch = async (): Promise<RunningCommand> => {
    const started = startCommandLine(["start"], { env, cwd: dataDir });
    await started.waitFor("is running on", START_TIMEOUT_MS);
    return started;
  };
  let command = await launch();
  return {
    url,
    adminKey: ADMIN_KEY,
    postgresUrl: `postgres://paperdb:${PG_PASSWORD}@127.0.0.1:${String(pgPort)}/paperdb`,
    output: () => command.stdout + command.stderr,
    createTenant: (id) => createTenant(url, ADMIN_KEY, id),
    async kill() {
      await command.end("SIGKILL");
    },
    async end() {
      await command.end("SIGTERM");
    },
    async start() {
      command = await launch();
    },
    async untilReady() {
      await until(async () => (await fetch(`${url}/readyz`)).status === 200, {
        describe: () => `a server that is ready: ${command.stdout}${command.stderr}`,
      });
    },
    async stop() {
      await command.end("SIGTERM");
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
