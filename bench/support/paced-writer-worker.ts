import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { monotonicMs } from "./clock.ts";
import { sequenceText } from "./sequence-text.ts";
import { serveCalls } from "./worker-process.ts";

/** Rows to write, one transaction each, at an even pace. */
export interface PacedWrites {
  /** The sequence of the first of them. */
  readonly first: number;
  readonly count: number;
  readonly perSecond: number;
  /** Readers take turns: `${prefix}0` to `${prefix}${readers - 1}`, by the sequence. */
  readonly prefix: string;
  readonly readers: number;
}

/** When it was written, on the monotonic clock. */
export interface PacedResult {
  readonly committedAtMs: Float64Array;
  /** How many were written each second. */
  readonly perSecond: number;
}

/** The calls of a process that writes at an even pace, whatever becomes of what it writes. */
export interface PacedWriterCalls {
  [call: string]: (argument: never) => unknown;
  open(argument: { url: string; connections: number }): Promise<void>;
  write(argument: PacedWrites): Promise<PacedResult>;
}

const INSERT_SQL = "insert into granted (tenant_id, reader, seq, title) values ('bench', $1, $2, $3)";
const TITLE = "A row of about two hundred bytes, as JSON. ".repeat(3);

const free: Client[] = [];
let onFree: () => void = () => undefined;

const calls: PacedWriterCalls = {
  async open({ url, connections }) {
    while (free.length < connections) {
      const client = new Client({ connectionString: url });
      await client.connect();
      free.push(client);
    }
  },
  async write({ first, count, perSecond, prefix, readers }) {
    const committedAtMs = new Float64Array(count);
    const startedAtMs = monotonicMs();
    const writes: Promise<void>[] = [];
    for (let index = 0; index < count; index += 1) {
      const waitMs = startedAtMs + (index * 1000) / perSecond - monotonicMs();
      if (waitMs > 0) await delay(waitMs);
      const client = await takeFree();
      const sequence = first + index;
      const values = [`${prefix}${sequence % readers}`, sequenceText(sequence), TITLE];
      writes.push(
        client.query({ name: "write", text: INSERT_SQL, values }).then(() => {
          committedAtMs[index] = monotonicMs();
          free.push(client);
          onFree();
        }),
      );
    }
    await Promise.all(writes);
    // The last one has its share of time, too.
    const elapsedMs = monotonicMs() - startedAtMs + 1000 / perSecond;
    return { committedAtMs, perSecond: (count * 1000) / elapsedMs };
  },
};

async function takeFree(): Promise<Client> {
  for (;;) {
    const client = free.pop();
    if (client !== undefined) return client;
    await new Promise<void>((resolve) => {
      onFree = resolve;
    });
  }
}

serveCalls(calls);
