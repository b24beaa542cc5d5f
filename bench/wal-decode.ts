import { Pool } from "pg";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { startBenchPostgres } from "./support/bench-postgres.ts";
import { DECODE_SHAPES, withChanges, type DecodeShape } from "./support/decode-shapes.ts";
import type { Decoded, DecodeCalls } from "./support/decode-worker.ts";
import type { DecoderKind } from "./support/decoders.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker-process.ts";

/** From memory, or over a replication connection. */
type Way = "memory" | "stream";

const KINDS: readonly DecoderKind[] = ["ours", "journal", "objects", "json"];
const CHANGES = 50_000;
const ROUNDS = 4;

/** How fast the log of the database becomes documents, on one core. */
export const walDecode: Benchmark = { name: "wal-decode", title: "Decoding PostgreSQL's log", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const changes = short ? CHANGES / 5 : CHANGES;
  const rounds = short ? 1 : ROUNDS;
  const server = await startBenchPostgres();
  const pool = new Pool({ connectionString: server.url });
  try {
    const rows: string[][] = [];
    for (const shape of DECODE_SHAPES) {
      progress(shape.title);
      await withChanges(pool, shape, changes, async () => {
        rows.push(...(await measure(shape, { url: server.url, changes, rounds })));
      });
    }
    return { table: { head: HEAD, rows }, notes: notesOf(changes, rounds) };
  } finally {
    await pool.end();
    await server.stop();
  }
}

const HEAD = [
  "",
  "ours, to JSON text",
  "and kept for a restart",
  "peer, to objects",
  "ours / it",
  "peer, to JSON text",
  "ours / it",
];

function notesOf(changes: number, rounds: number): string[] {
  return [
    `Changes per second of CPU time (user and system, garbage collection included) of the process that decodes, so per core: ${changes.toLocaleString("en-US")} changes of ` +
      `one transaction, ${mediansOf(rounds, { ratios: true })}, after one to warm up; each way in a process of its own, in turns. The *peer* is \`pg-logical-replication\` 2.5.0 ` +
      "on the same slot, its own parser and service; *to JSON text* is `JSON.stringify` of its rows, which is what a server would have to send (its values have other forms than ours; " +
      "of updates the row before as well, which ours makes too, since filters need it). *From memory*: from the bytes of pgoutput to tenant, document id and JSON text. *From the database*: the same from a " +
      "replication connection, with all that the connection costs. *Kept for a restart*: ours, and into the journal, which holds 16 MB: what a " +
      "published table costs that nobody watches. Updates come with the whole row before, since the table has REPLICA IDENTITY FULL.",
  ];
}

interface Load {
  readonly url: string;
  readonly changes: number;
  readonly rounds: number;
}

async function measure({ title }: DecodeShape, { url, changes, rounds }: Load): Promise<string[][]> {
  const workers = new Map(
    KINDS.map((kind) => [
      kind,
      new WorkerProcess<DecodeCalls>(new URL("support/decode-worker.ts", import.meta.url)),
    ]),
  );
  const speeds = new Rounds<`${Way} ${DecoderKind}`>();
  const sizes = new Map<DecoderKind, number>();
  try {
    for (const worker of workers.values()) await worker.call("load", { url });
    for (let round = 0; round <= rounds; round += 1) {
      for (const [kind, worker] of workers) {
        const memory = await worker.call("fromMemory", { kind });
        const stream = await worker.call("fromStream", { url, kind });
        sizes.set(kind, memory.characters / changes);
        // The first round is for the compiler.
        if (round === 0) continue;
        speeds.add(`memory ${kind}`, speedOf(memory, changes));
        speeds.add(`stream ${kind}`, speedOf(stream, changes));
      }
    }
  } finally {
    await Promise.all(Array.from(workers.values(), (worker) => worker.close()));
  }
  const bytes = figure(sizes.get("ours") ?? 0);
  return [
    [`${title}, ${bytes} B: from memory`, ...cells("memory", speeds)],
    [`${title}, ${bytes} B: from the database`, ...cells("stream", speeds)],
  ];
}

function speedOf(decoded: Decoded, changes: number): number {
  if (decoded.changes !== changes) {
    throw new Error(`${decoded.changes} changes were decoded, not ${changes}.`);
  }
  return changes / decoded.cpuSeconds;
}

function cells(way: Way, speeds: Rounds<`${Way} ${DecoderKind}`>): string[] {
  const rate = (kind: DecoderKind): string => `${figure(speeds.median(`${way} ${kind}`))}/s`;
  const ratio = (kind: DecoderKind): string => ratioText(speeds.ratio(`${way} ours`, `${way} ${kind}`));
  return [rate("ours"), rate("journal"), rate("objects"), ratio("objects"), rate("json"), ratio("json")];
}
