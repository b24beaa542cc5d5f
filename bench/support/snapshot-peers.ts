import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { whileSampling, type ResidentMemory } from "./resident-memory.ts";
import { ServerProcess, sourceConfig } from "./server-process.ts";
import { fetchServerUsage } from "./server-usage.ts";
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
    await this.#database.query(`create table ${table} (
      id bigint generated always as identity primary key, tenant_id text not null, seq text not null,
      room uuid default gen_random_uuid(), author text default 'Ada Lovelace', body text, likes int default 0, at timestamptz default now())`);
    await this.#database.query(`create index on ${table} (tenant_id)`);
    await this.#database.query(
      `insert into ${table} (tenant_id, seq, body) select 'bench', lpad(n::text, 10, '0'),
        'Message ' || n || ': shall we meet at the "Blue Door" at half past nine?' from generate_series(1, $1::int) n`,
      [rows],
    );
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
    const { host, hostname, port } = new URL(this.#server.url);
    const request =
      `GET /v1/events/subscribe?collection=${table}&snapshot=true HTTP/1.1\r\nhost: ${host}\r\n` +
      `apikey: ${this.#tenant.anonKey}\r\naccept: text/event-stream\r\n\r\n`;
    const before = await fetchServerUsage(this.#server.url);
    const { result, memory } = await whileSampling(this.#server.pid, () =>
      this.#clients.call("read", {
        host: hostname,
        port: Number(port),
        request,
        clients,
        timeoutMs: WITHIN_MS,
      }),
    );
    const after = await fetchServerUsage(this.#server.url);
    requireAll(result, rows);
    const { readyAfterMs, resets, bytes } = result;
    return {
      readyAfterMs,
      resets,
      bytes,
      memory,
      cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    };
  }

  /** The same rows, from the database into nothing. */
  copy(table: string): Promise<CopyCost> {
    return this.#peer.call("copy", { url: this.#server.databaseUrl, table });
  }

  /** The same bytes to as many clients, from nothing. */
  async send(bytes: number, clients: number): Promise<SendingCost> {
    const port = await this.#peer.call("serve", { bytes });
    const before = await this.#peer.call("cpuSeconds", {});
    const request = { host: "127.0.0.1", port, request: "GET / HTTP/1.1\r\n\r\n" };
    const { readyAfterMs } = await this.#clients.call("read", { ...request, clients, timeoutMs: WITHIN_MS });
    const cpuSeconds = (await this.#peer.call("cpuSeconds", {})) - before;
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
