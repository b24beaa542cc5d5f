import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { getRequest } from "./http-bytes.ts";
import { sseRequest } from "./our-requests.ts";
import { cpuSecondsOf } from "./process-usage.ts";
import { fillMessagesSql, messageTableSql } from "./message-table.ts";
import { whileSampling, type ResidentMemory } from "./resident-memory.ts";
import { ServerProcess, sourceConfig } from "./server-process.ts";
import type { SnapshotClientCalls, SnapshotsReceived } from "./snapshot-client-worker.ts";
import type { CopyCost, SnapshotPeerCalls } from "./snapshot-peer-worker.ts";
import { percentile } from "./statistics.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What snapshots of one table took. */
export interface SnapshotCost {
  readonly readyAfterMs: readonly number[];
  readonly cpuSeconds: number;
  readonly memory: ResidentMemory;
  /** Clients that had to begin again, each time. */
  readonly resets: number;
  readonly bytes: number;
}

/** What sending the same took. */
export interface SendingCost {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const WITHIN_MS = 120_000;
/** Sessions of PostgreSQL that have nothing to do tell their statistics after 10 s at the latest. */
const STATISTICS_DELAY_MS = 11_000;

/** The server, its clients, and a process that does the least that has to be done. */
export class SnapshotPeers {
  readonly #server: ServerProcess;
  readonly #database: Client;
  readonly #tenant: BenchTenant;
  readonly #clients = new WorkerProcess<SnapshotClientCalls>(
    new URL("snapshot-client-worker.ts", import.meta.url),
  );
  readonly #peer = new WorkerProcess<SnapshotPeerCalls>(new URL("snapshot-peer-worker.ts", import.meta.url));

  /** Of each table, by those who made it. */
  readonly #scansBefore = new Map<string, number>();

  private constructor(server: ServerProcess, database: Client, tenant: BenchTenant) {
    this.#server = server;
    this.#database = database;
    this.#tenant = tenant;
  }

  static async start(profileDir: string | undefined): Promise<SnapshotPeers> {
    const server = await ServerProcess.start({ profileDir, config: sourceConfig("wal") });
    try {
      const database = new Client({ connectionString: server.databaseUrl });
      await database.connect();
      return new SnapshotPeers(server, database, await createTenant(server, "bench"));
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Makes a table of so many rows of about 250 bytes, as JSON. */
  async createTable(table: string, rows: number): Promise<void> {
    await this.#database.query(messageTableSql(table));
    await this.#database.query(`create index on ${table} (tenant_id)`);
    await this.#database.query(fillMessagesSql(table), [1, rows]);
    await this.#database.query(`vacuum analyze ${table}`);
    await this.#database.query("select pg_stat_force_next_flush()");
    this.#scansBefore.set(table, await this.#fetchScans(table));
  }

  /** How often the tables were scanned since they were made, by whomever; it takes some seconds. */
  async fetchTableReads(): Promise<ReadonlyMap<string, number>> {
    await delay(STATISTICS_DELAY_MS);
    const reads = new Map<string, number>();
    for (const [table, before] of this.#scansBefore)
      reads.set(table, (await this.#fetchScans(table)) - before);
    return reads;
  }

  /** So many clients ask for the table at once. Makes sure that each got each row once. */
  async read(table: string, rows: number, clients: number): Promise<SnapshotCost> {
    const { hostname, port } = new URL(this.#server.url);
    const request = sseRequest({ collection: table, snapshot: "true" }, { apikey: this.#tenant.anonKey });
    const cpuBefore = await cpuSecondsOf([this.#server.pid]);
    const { result, memory } = await whileSampling(this.#server.pid, () =>
      this.#clients.call("read", {
        host: hostname,
        port: Number(port),
        request,
        clients,
        timeoutMs: WITHIN_MS,
      }),
    );
    const cpuSeconds = (await cpuSecondsOf([this.#server.pid])) - cpuBefore;
    requireAll(result, rows);
    const { readyAfterMs, resets, bytes } = result;
    return { readyAfterMs, resets, bytes, memory, cpuSeconds };
  }

  /** The same rows, from the database into nothing. */
  copy(table: string): Promise<CopyCost> {
    return this.#peer.call("copy", { url: this.#server.databaseUrl, table });
  }

  /** The same bytes to as many clients, from nothing. */
  async send(bytes: number, clients: number): Promise<SendingCost> {
    const port = await this.#peer.call("serve", { bytes });
    const before = await cpuSecondsOf([this.#peer.pid]);
    const request = { host: "127.0.0.1", port, request: getRequest("/") };
    const { readyAfterMs } = await this.#clients.call("read", { ...request, clients, timeoutMs: WITHIN_MS });
    const cpuSeconds = (await cpuSecondsOf([this.#peer.pid])) - before;
    return { seconds: percentile(readyAfterMs, 1) / 1000, cpuSeconds };
  }

  async close(): Promise<void> {
    await Promise.all([this.#clients.close(), this.#peer.close()]);
    await this.#database.end();
    await this.#server.stop();
  }

  async #fetchScans(table: string): Promise<number> {
    const { rows } = await this.#database.query<{ scans: string }>(
      "select seq_scan + coalesce(idx_scan, 0) as scans from pg_stat_user_tables where relname = $1",
      [table],
    );
    return Number(rows[0]?.scans);
  }
}

function requireAll({ documents, sequenceSums }: SnapshotsReceived, rows: number): void {
  const sum = (rows * (rows + 1)) / 2;
  for (const [index, count] of documents.entries()) {
    if (count !== rows || sequenceSums[index] !== sum) {
      throw new Error(`Client ${index} got ${count} documents, not each of ${rows} once.`);
    }
  }
}
