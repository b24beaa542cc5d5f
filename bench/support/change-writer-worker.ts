import { setTimeout as delay } from "node:timers/promises";
import { MongoClient, type Collection } from "mongodb";
import { Client } from "pg";
import { changeSequence } from "./change-scanner.ts";
import { monotonicMs } from "./clock.ts";
import { sequenceText } from "./sequence-text.ts";
import { serveCalls } from "./worker-process.ts";

/** Rows to write at an even pace. Each writer numbers its own; row `n` is of tenant `t${n % tenants}`. */
export interface ChangeWrites {
  /** Of each writer: the number of its first row. */
  readonly first: number;
  /** Of each writer. */
  readonly transactions: number;
  readonly rowsPerTransaction: number;
  readonly tenants: number;
  /** Rows, of all writers together. */
  readonly perSecond: number;
}

/** When it was written, on the monotonic clock. */
export interface WrittenChanges {
  /** Of each transaction of the first writer, then of the second one, and so on. */
  readonly committedAtMs: Float64Array;
  /** How many rows were written each second. */
  readonly perSecond: number;
}

/** The calls of a process that writes at an even pace, whatever becomes of what it writes. */
export interface ChangeWriterCalls {
  [call: string]: (argument: never) => unknown;
  /** @param url - of PostgreSQL or MongoDB. */
  open(argument: { url: string; writers: number; target: string }): Promise<void>;
  write(argument: ChangeWrites): Promise<WrittenChanges>;
  close(argument: Record<string, never>): Promise<void>;
}

/** One connection: writes a transaction of rows. */
interface Writer {
  write(first: number, count: number, tenants: number): Promise<unknown>;
  close(): Promise<void>;
}

const BODY = ': shall we meet at the "Blue Door" at half past nine?';

let writers: readonly Writer[] = [];

const calls: ChangeWriterCalls = {
  async open({ url, writers: count, target }) {
    const open = url.startsWith("mongodb:") ? openMongo : openPostgres;
    writers = await Promise.all(Array.from({ length: count }, (_, index) => open(url, target, index)));
  },
  async write(writes) {
    const { transactions, rowsPerTransaction, perSecond } = writes;
    const committedAtMs = new Float64Array(transactions * writers.length);
    const intervalMs = (1000 * rowsPerTransaction * writers.length) / perSecond;
    const startedAtMs = monotonicMs();
    await Promise.all(
      writers.map(async (writer, index) => {
        // They take turns.
        const firstAtMs = startedAtMs + (intervalMs * index) / writers.length;
        for (let done = 0; done < transactions; done += 1) {
          const waitMs = firstAtMs + done * intervalMs - monotonicMs();
          if (waitMs > 0) await delay(waitMs);
          await writer.write(writes.first + done * rowsPerTransaction, rowsPerTransaction, writes.tenants);
          committedAtMs[index * transactions + done] = monotonicMs();
        }
      }),
    );
    // The last one has its share of time, too.
    const elapsedMs = monotonicMs() - startedAtMs + intervalMs / writers.length;
    return { committedAtMs, perSecond: (committedAtMs.length * rowsPerTransaction * 1000) / elapsedMs };
  },
  async close() {
    await Promise.all(writers.map((writer) => writer.close()));
    writers = [];
  },
};

/** The database makes the rows itself: what is sent must not cost what the others need. */
async function openPostgres(url: string, table: string, index: number): Promise<Writer> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const text = `insert into ${table} (tenant_id, seq, body)
    select 't' || (n % $3::int), lpad(($4::bigint + n)::text, 10, '0'), 'Message ' || n || '${BODY}' from generate_series($1::int, $2::int) n`;
  const offset = changeSequence(index, 0);
  return {
    write: (first, count, tenants) =>
      client.query({ name: "write", text, values: [first, first + count - 1, tenants, offset] }),
    close: () => client.end(),
  };
}

async function openMongo(url: string, name: string, index: number): Promise<Writer> {
  const client = new MongoClient(url);
  await client.connect();
  const collection: Collection = client.db().collection(name);
  const documentOf = (number: number, tenants: number): Record<string, unknown> => ({
    tenantId: `t${number % tenants}`,
    seq: sequenceText(changeSequence(index, number)),
    author: "Ada Lovelace",
    body: `Message ${number}${BODY}`,
    likes: 0,
    at: new Date(),
  });
  return {
    write: (first, count, tenants) =>
      collection.insertMany(Array.from({ length: count }, (_, at) => documentOf(first + at, tenants))),
    close: () => client.close(),
  };
}

serveCalls(calls);
