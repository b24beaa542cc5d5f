import { Client } from "pg";
import type { TestPostgres } from "../../tests/support/own-postgres.ts";
import { startBenchPostgres } from "./bench-postgres.ts";
import { dropSlot } from "./change-readers.ts";
import { monotonicMs } from "./clock.ts";
import { fillMessagesSql, messageTableSql } from "./message-table.ts";
import type { PeerServerCalls } from "./peer-server-worker.ts";
import { cpuSecondsOf } from "./process-usage.ts";
import { whileSampling, type ResidentMemory } from "./resident-memory.ts";
import { ServerProcess, sourceConfig } from "./server-process.ts";
import { requireComplete, Subscribers } from "./subscribers.ts";
import { createTenant } from "./tenant.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Who reads a transaction: our server, a plain one on another library, or one that throws away what PostgreSQL sends. */
export type Reader = "ours" | "peer" | "bare";

/** What a transaction took, from its commit until its last row was where it had to be. */
export interface TransactionCost {
  readonly seconds: number;
  /** Of the process that reads, from before the transaction. */
  readonly cpuSeconds: number;
  readonly memory: ResidentMemory;
}

/** How far a client may be behind: it shares two cores with three other processes, and must not be what is measured. */
export const HISTORY_BYTES: number = 64 * 1024 ** 2;
const CONFIG = {
  ...sourceConfig("wal"),
  history: {
    maxEventsPerChannel: 1_000_000,
    maxBytesPerChannel: HISTORY_BYTES,
    maxBytesTotal: HISTORY_BYTES,
  },
  connections: { maxBufferedBytes: HISTORY_BYTES },
};
const DURABLE = { fsync: "on", full_page_writes: "on" };
const SLOT = "bench";
const TABLE_SQL = `${messageTableSql("big")}; alter table big replica identity full`;
const FILL_SQL = fillMessagesSql("big");

/** Our server, and a database with a process that reads it otherwise. */
export class TransactionPeers {
  readonly #server: ServerProcess;
  readonly #database: TestPostgres;
  readonly #ours: Client;
  readonly #theirs: Client;
  readonly #peer = new WorkerProcess<PeerServerCalls>(new URL("peer-server-worker.ts", import.meta.url));
  readonly #bare = new WorkerProcess<PeerServerCalls>(new URL("peer-server-worker.ts", import.meta.url));
  readonly #subscribers = new Subscribers();
  #next = 1;

  private constructor(server: ServerProcess, database: TestPostgres) {
    this.#server = server;
    this.#database = database;
    this.#ours = new Client({ connectionString: server.databaseUrl });
    this.#theirs = new Client({ connectionString: database.url });
  }

  static async start(profileDir: string | undefined): Promise<TransactionPeers> {
    const server = await ServerProcess.start({ profileDir, config: CONFIG });
    const peers = new TransactionPeers(server, await startBenchPostgres({ settings: DURABLE }));
    try {
      await peers.#open();
    } catch (error) {
      await peers.close();
      throw error;
    }
    return peers;
  }

  /** Writes so many rows in one transaction. */
  async run(reader: Reader, rows: number): Promise<TransactionCost> {
    if (reader === "ours") return this.#runOurs(rows);
    const worker = reader === "peer" ? this.#peer : this.#bare;
    await this.#theirs.query(`select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
    try {
      return reader === "peer" ? await this.#runPeer(rows) : await this.#runBare(rows);
    } finally {
      await worker.call("stop", {});
      await dropSlot(this.#theirs, SLOT);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#peer.close(), this.#bare.close(), this.#subscribers.close()]);
    await this.#ours.end();
    await this.#theirs.end();
    await this.#server.stop();
    await this.#database.stop();
  }

  async #open(): Promise<void> {
    for (const client of [this.#ours, this.#theirs]) {
      await client.connect();
      await client.query(TABLE_SQL);
    }
    await this.#theirs.query("create publication bench for table big");
    const { anonKey: key } = await createTenant(this.#server, "bench");
    await this.#subscribers.open("ours", this.#server, {
      key,
      subject: { collection: "big" },
      connections: 1,
    });
    await this.#subscribers.openAt("peer", await this.#peer.call("listen", {}), 1);
  }

  #runOurs(rows: number): Promise<TransactionCost> {
    return this.#measure({
      pid: this.#server.pid,
      database: this.#ours,
      rows,
      untilLast: (first) => this.#untilReceived("ours", first, rows),
    });
  }

  async #runPeer(rows: number): Promise<TransactionCost> {
    await this.#peer.call("deliver", { url: this.#database.url, slot: SLOT });
    return this.#measure({
      pid: this.#peer.pid,
      database: this.#theirs,
      rows,
      untilLast: (first) => this.#untilReceived("peer", first, rows),
    });
  }

  async #runBare(rows: number): Promise<TransactionCost> {
    await this.#bare.call("drop", { url: this.#database.url, slot: SLOT });
    return this.#measure({
      pid: this.#bare.pid,
      database: this.#theirs,
      rows,
      untilLast: () => this.#bare.call("untilRead", { rows }),
    });
  }

  async #untilReceived(group: string, first: number, rows: number): Promise<number> {
    const received = await this.#subscribers.receive(group, rows);
    requireComplete(received, first, rows);
    return received.lastReadAtMs;
  }

  async #measure(reader: {
    readonly pid: number;
    readonly database: Client;
    readonly rows: number;
    /** When the last row was there, on the monotonic clock. */
    untilLast(first: number): Promise<number>;
  }): Promise<TransactionCost> {
    const { pid, database, rows } = reader;
    const first = this.#next;
    this.#next += rows;
    const cpuBefore = await cpuSecondsOf([pid]);
    const { result, memory } = await whileSampling(pid, async () => {
      await database.query(FILL_SQL, [first, first + rows - 1]);
      const committedAtMs = monotonicMs();
      return ((await reader.untilLast(first)) - committedAtMs) / 1000;
    });
    return { seconds: result, cpuSeconds: (await cpuSecondsOf([pid])) - cpuBefore, memory };
  }
}
