import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { runSql } from "./support/run-sql.ts";
import { ServerProcess, sourceConfig, type SourceMode } from "./support/server-process.ts";
import { Rounds } from "./support/statistics.ts";
import { Subscribers } from "./support/subscribers.ts";
import { createTenant } from "./support/tenant.ts";
import { WorkerProcess } from "./support/worker-process.ts";
import type { WriterCalls, WriterTarget } from "./support/writer-worker.ts";

const COLUMNS = "seq text not null, title text not null";
const TABLES_SQL = `
create table watched (id bigint generated always as identity primary key, tenant_id text not null, ${COLUMNS});
create table plain (id bigint generated always as identity primary key, org_id text not null, ${COLUMNS});`;

/** Of a tenant that nobody, or one client, is subscribed to. */
type Audience = "nobody" | "subscriber";
type Variant = "none" | `${SourceMode} ${Audience}`;

const VARIANTS: readonly Variant[] = [
  "none",
  "notify nobody",
  "notify subscriber",
  "wal nobody",
  "wal subscriber",
];
const WRITERS = [1, 4, 16];
const DURATION_MS = 1000;
const ROUNDS = 5;

/** What being a source costs the application's writes. */
export const writers: Benchmark = { name: "writers", title: "Writers", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const durationMs = short ? DURATION_MS / 4 : DURATION_MS;
  const rounds = short ? 1 : ROUNDS;
  const peers: WriterPeer[] = [];
  try {
    for (const mode of ["notify", "wal"] as const) peers.push(await WriterPeer.start(mode, profileDir));
    const rows: string[][] = [];
    for (const count of WRITERS) {
      const rates = new Rounds<Variant>();
      for (const peer of peers) await peer.open(count);
      for (let round = 0; round <= rounds; round += 1) {
        progress(`${count} writers, round ${round}`);
        for (const variant of rotated(VARIANTS, round)) {
          const rate = await writeRound(peers, variant, durationMs);
          // The first round warms plans, caches and the tables' files up.
          if (round > 0) rates.add(variant, rate);
        }
      }
      for (const peer of peers) await peer.closeWriters();
      rows.push(rowOf(count, rates));
    }
    return { table: { head: HEAD, rows }, notes: notesOf(rounds, durationMs) };
  } finally {
    for (const peer of peers) await peer.stop();
  }
}

const HEAD = [
  "writers",
  "no source",
  "`notify`, nobody subscribed",
  "ratio",
  "`notify`, one subscriber",
  "ratio",
  "`wal`, nobody subscribed",
  "ratio",
  "`wal`, one subscriber",
  "ratio",
];

function notesOf(rounds: number, durationMs: number): string[] {
  return [
    `Single-row INSERT transactions of about 200 bytes, synced to disk, each writer's next after its last, for ${durationMs / 1000} s; ` +
      `variants in turn, ${mediansOf(rounds, { ratios: true })}. Ratios are to *no source*. All writes are to one table and one tenant; each mode has a server and a database ` +
      "of its own, of which the other ones are at rest meanwhile; *no source* is a table without a tenant column in the database without a replication slot. Writers (one process), " +
      "server, client and database share the machine. The subscriber got every row that was committed.",
  ];
}

/** A server with its database, one subscriber, and a process of writers. */
class WriterPeer {
  readonly mode: SourceMode;
  readonly #server: ServerProcess;
  readonly #subscribers = new Subscribers();
  readonly #worker = new WorkerProcess<WriterCalls>(new URL("support/writer-worker.ts", import.meta.url));

  private constructor(mode: SourceMode, server: ServerProcess) {
    this.mode = mode;
    this.#server = server;
  }

  static async start(mode: SourceMode, profileDir: string | undefined): Promise<WriterPeer> {
    const server = await ServerProcess.start({ profileDir, config: sourceConfig(mode) });
    const peer = new WriterPeer(mode, server);
    try {
      await runSql(server.databaseUrl, TABLES_SQL);
      const { anonKey: key } = await createTenant(server, "watched");
      const subject = { collection: "watched" };
      await peer.#subscribers.open("one", server, { key, subject, connections: 1 });
    } catch (error) {
      await peer.stop();
      throw error;
    }
    return peer;
  }

  open(count: number): Promise<void> {
    return this.#worker.call("open", { url: this.#server.databaseUrl, writers: count });
  }

  closeWriters(): Promise<void> {
    return this.#worker.call("close", {});
  }

  /** @returns how many were committed, once the subscriber has what it must have. */
  async write(target: WriterTarget, durationMs: number, isDelivered: boolean): Promise<number> {
    const { commits } = await this.#worker.call("write", { target, durationMs });
    const expected = isDelivered ? commits : 0;
    const { events } = await this.#subscribers.receive("one", expected);
    if (events[0] !== expected) throw new Error(`The subscriber got ${events[0] ?? 0} rows of ${expected}.`);
    return commits;
  }

  async stop(): Promise<void> {
    await this.#worker.close();
    await this.#subscribers.close();
    await this.#server.stop();
  }
}

/** @returns commits per second. */
async function writeRound(
  peers: readonly WriterPeer[],
  variant: Variant,
  durationMs: number,
): Promise<number> {
  const mode = variant.startsWith("wal") ? "wal" : "notify";
  const peer = peers.find((candidate) => candidate.mode === mode);
  if (peer === undefined) throw new Error(`There is no server of mode ${mode}.`);
  const commits = await peer.write(targetOf(variant), durationMs, variant.endsWith("subscriber"));
  return commits / (durationMs / 1000);
}

/** `plain` has no tenant column, so it is no collection: it has no trigger, and is not published. */
function targetOf(variant: Variant): WriterTarget {
  if (variant === "none") return { table: "plain", tenantColumn: "org_id", tenant: "watched" };
  const tenant = variant.endsWith("subscriber") ? "watched" : "unwatched";
  return { table: "watched", tenantColumn: "tenant_id", tenant };
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function rowOf(count: number, rates: Rounds<Variant>): string[] {
  const [, ...sources] = VARIANTS;
  return [
    String(count),
    `${figure(rates.median("none"))}/s`,
    ...sources.flatMap((variant) => [
      `${figure(rates.median(variant))}/s`,
      ratioText(rates.ratio(variant, "none")),
    ]),
  ];
}
