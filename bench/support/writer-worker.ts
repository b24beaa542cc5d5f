import { Client } from "pg";
import { monotonicMs } from "./clock.ts";
import { sequenceText } from "./sequence-text.ts";
import { serveCalls } from "./worker-process.ts";

/** What a writer's rows go into. */
export interface WriterTarget {
  readonly table: string;
  readonly tenantColumn: string;
  readonly tenant: string;
}

/** The calls of a process that writes rows. */
export interface WriterCalls {
  [call: string]: (argument: never) => unknown;
  open(argument: { url: string; writers: number }): Promise<void>;
  /** Writes single-row transactions, one after the other on each connection. */
  write(argument: { target: WriterTarget; durationMs: number }): Promise<{ commits: number }>;
  close(argument: Record<string, never>): Promise<void>;
}

const TITLE = "A row of about two hundred bytes, as JSON. ".repeat(3);

let clients: readonly Client[] = [];

const calls: WriterCalls = {
  async open({ url, writers }) {
    clients = Array.from({ length: writers }, () => new Client({ connectionString: url }));
    await Promise.all(clients.map((client) => client.connect()));
  },
  async write({ target, durationMs }) {
    const deadlineMs = monotonicMs() + durationMs;
    const counts = await Promise.all(clients.map((client) => writeUntil(client, target, deadlineMs)));
    return { commits: counts.reduce((sum, count) => sum + count, 0) };
  },
  async close() {
    await Promise.all(clients.map((client) => client.end()));
    clients = [];
  },
};

async function writeUntil(client: Client, target: WriterTarget, deadlineMs: number): Promise<number> {
  const { table, tenantColumn, tenant } = target;
  const text = `insert into ${table} (${tenantColumn}, seq, title) values ($1, $2, $3)`;
  let commits = 0;
  while (monotonicMs() < deadlineMs) {
    await client.query({ name: `write ${table}`, text, values: [tenant, sequenceText(commits), TITLE] });
    commits += 1;
  }
  return commits;
}

serveCalls(calls);
