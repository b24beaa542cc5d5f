import { Client } from "pg";
import type { TestPostgres } from "../../tests/support/own-postgres.ts";
import { startBenchPostgres } from "./bench-postgres.ts";
import { messageTableSql } from "./message-table.ts";
import { runSql } from "./run-sql.ts";
import type { BenchMongo } from "./mongo-server.ts";
import type { PeerServerCalls } from "./peer-server-worker.ts";
import { fetchFamilyCpuSeconds, fetchParent } from "./process-family.ts";
import type { ServerProcess } from "./server-process.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What changes are written into, and what becomes of them there. */
export interface ChangeReader {
  /** Of the process that reads. */
  readonly pid: number;
  /** Of the database. */
  readonly url: string;
  readonly databasePid: number | undefined;
  /** Where its clients connect; undefined where there are none. */
  readonly port: number | undefined;
  /** From now on, what is written is read. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Where there are no clients: when so many changes were read since {@link start}, on the monotonic clock. */
  untilRead?(changes: number): Promise<number>;
}

/** Of what is read otherwise. */
export const OTHERS_TABLE = "changes";
const SLOT = "bench";

/** Our server, on a new table of its embedded database. */
export async function ourReader(server: ServerProcess, table: string): Promise<ChangeReader> {
  await runSql(server.databaseUrl, tableSql(table));
  return readerOf(server, server.databaseUrl, await fetchPostmaster(server.databaseUrl));
}

/** Our server, on a MongoDB. */
export function mongoReader(server: ServerProcess, { url, pid }: BenchMongo): ChangeReader {
  return readerOf(server, url, pid);
}

function readerOf(server: ServerProcess, url: string, databasePid: number | undefined): ChangeReader {
  return {
    url,
    databasePid,
    port: Number(new URL(server.url).port),
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    pid: server.pid,
  };
}

function tableSql(table: string): string {
  return `${messageTableSql(table)}; alter table ${table} replica identity full`;
}

/** A database with processes that read it otherwise: in turn, so that PostgreSQL decodes for one only. */
export class OtherReaders {
  readonly #database: TestPostgres;
  readonly #client: Client;
  readonly #workers: WorkerProcess<PeerServerCalls>[] = [];

  private constructor(database: TestPostgres) {
    this.#database = database;
    this.#client = new Client({ connectionString: database.url });
  }

  static async start(): Promise<OtherReaders> {
    const others = new OtherReaders(
      await startBenchPostgres({ settings: { fsync: "on", full_page_writes: "on" } }),
    );
    await others.#client.connect();
    await others.#client.query(
      `${tableSql(OTHERS_TABLE)}; create publication bench for table ${OTHERS_TABLE}`,
    );
    return others;
  }

  /** A plain server on another library, or one that throws away what PostgreSQL sends. */
  async open(call: "deliver" | "drop"): Promise<ChangeReader> {
    const worker = new WorkerProcess<PeerServerCalls>(new URL("peer-server-worker.ts", import.meta.url));
    this.#workers.push(worker);
    const { url } = this.#database;
    return {
      url,
      databasePid: this.#database.pid,
      port: call === "deliver" ? await worker.call("listen", {}) : undefined,
      start: async () => {
        await this.#client.query(`select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
        await worker.call(call, { url, slot: SLOT });
      },
      stop: async () => {
        await worker.call("stop", {});
        await dropSlot(this.#client, SLOT);
      },
      pid: worker.pid,
      ...(call === "drop" && { untilRead: (rows: number) => worker.call("untilRead", { rows }) }),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.#client.end();
    await this.#database.stop();
  }
}

/** PostgreSQL may need a moment to see that the reader is gone. */
export async function dropSlot(client: Client, slot: string): Promise<void> {
  const sql = `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${slot}' and active`;
  for (;;) {
    const { rowCount } = await client.query(sql);
    if (rowCount === 0) break;
  }
  await client.query(`select pg_drop_replication_slot('${slot}')`);
}

/** A connection's process has it as its parent. */
async function fetchPostmaster(url: string): Promise<number | undefined> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const parent = await fetchParent(rows[0]?.pid ?? 0);
  await client.end();
  return parent;
}

/** What the reader's database has used so far. */
export async function databaseCpuSeconds({ databasePid }: ChangeReader): Promise<number> {
  const seconds = databasePid === undefined ? undefined : await fetchFamilyCpuSeconds(databasePid);
  return seconds ?? Number.NaN;
}
