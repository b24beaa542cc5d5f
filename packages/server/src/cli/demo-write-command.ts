import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { DatabaseError, Pool } from "pg";
import { DEMO_TENANT } from "../tenants/demo.ts";
import { explainConnectFailure } from "../tenants/connect-failure.ts";
import { loadCommandConfig, withDatabases } from "./command-context.ts";
import { describeFailure } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 5000;
const INSERT = "insert into public.todos (tenant_id, title) values ($1, $2) returning id, title";
const UNDEFINED_TABLE = "42P01";

/** `demo-write`: a row a second, until a signal or until nobody reads what it prints. */
export function demoWriteCommand(terminal: Terminal): Command {
  return new Command("demo-write")
    .description(`Write a row a second into the table todos, for tenant ${DEMO_TENANT}, until interrupted`)
    .action(async (_options: unknown, command: Command) => {
      const stopped = stopSignal(terminal);
      const config = loadCommandConfig(command, terminal);
      if (config.sources.every(({ kind }) => kind !== "postgres"))
        throw new Error("demo-write writes into PostgreSQL, and no source is of that kind.");
      await withDatabases(config, ({ tenantsUrl }) => writeRows(tenantsUrl, terminal, stopped));
    });
}

async function writeRows(url: string, terminal: Terminal, stopped: AbortSignal): Promise<void> {
  const pool = new Pool({
    connectionString: url,
    max: 1,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  pool.on("error", () => undefined); // The next row says that the connection was lost.
  try {
    for (let count = 1; !stopped.aborted; count += 1) {
      await writeRow(pool, url, `Row ${String(count)} of ${new Date().toISOString()}`, terminal);
      await delay(INTERVAL_MS, undefined, { signal: stopped }).catch(() => undefined); // Only a stop ends it early.
    }
  } finally {
    await pool.end();
  }
}

async function writeRow(pool: Pool, url: string, title: string, terminal: Terminal): Promise<void> {
  try {
    const { rows } = await pool.query<{ id: string; title: string }>(INSERT, [DEMO_TENANT, title]);
    for (const row of rows) terminal.stdout.write(`todos ${row.id}: ${row.title}\n`);
  } catch (error) {
    if (error instanceof DatabaseError && error.code === UNDEFINED_TABLE) {
      throw new Error("There is no table todos: it is made by the first start on an embedded database.", {
        cause: error,
      });
    }
    // Refused for another reason than an outage: it would be refused for ever.
    if (error instanceof DatabaseError && !isOutage(error)) throw error;
    terminal.stderr.write(describeFailure(new Error(explainConnectFailure(error, url))));
  }
}

/** Classes 53 (resources), 57 (intervention, such as a shutdown) and 08 (connection). */
function isOutage(error: DatabaseError): boolean {
  return /^(?:53|57|08)/.test(error.code ?? "");
}

function stopSignal({ stdout }: Terminal): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGPIPE"] as const) {
    process.once(signal, () => {
      stop.abort();
    });
  }
  stdout.once("error", () => {
    stop.abort();
  });
  return stop.signal;
}
