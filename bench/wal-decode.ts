import { Pool } from "pg";
import { Journal } from "../packages/server/src/source/postgres/wal/journal.ts";
import { PgoutputParser } from "../packages/server/src/source/postgres/wal/pgoutput.ts";
import { ReplicationConnection } from "../packages/server/src/source/postgres/wal/replication-connection.ts";
import { RowEncoder } from "../packages/server/src/source/postgres/wal/row-encoder.ts";
import { TypeCatalog } from "../packages/server/src/source/postgres/wal/type-catalog.ts";
import { startOwnPostgres } from "../tests/support/own-postgres.ts";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";

const CHAT = `id bigint primary key, tenant_id text, room uuid default gen_random_uuid(), author text default 'Ada Lovelace',
  body text, likes int default 0, edited bool default false, at timestamptz default now()`;
const BODY =
  "'Message ' || n || ': shall we meet at the \"Blue Door\" at half past nine, or is that too early for you?'";

/** What is decoded: a table, and one statement that changes as many rows as are asked for. */
const SHAPES = [
  {
    title: "8 columns, inserted",
    columns: CHAT,
    fill: `insert into shape (id, tenant_id, body) select n, 'tenant ' || n % 100, ${BODY} from generate_series(1, $1) n`,
    change: undefined,
  },
  {
    title: "8 columns, updated",
    columns: CHAT,
    fill: `insert into shape (id, tenant_id, body) select n, 'tenant ' || n % 100, ${BODY} from generate_series(1, $1) n`,
    change: "update shape set likes = likes + 1",
  },
  {
    title: "32 columns, inserted",
    columns: `id bigint primary key, tenant_id text, ${Array.from({ length: 10 }, (_, n) => `i${n} int, n${n} numeric(12,2), t${n} timestamptz`).join(", ")}`,
    fill: `insert into shape select n, 'tenant ' || n % 100, ${Array.from({ length: 10 }, () => "n, n / 8.0, now()").join(", ")} from generate_series(1, $1) n`,
    change: undefined,
  },
  {
    title: "1 kB of jsonb, inserted",
    columns: "id bigint primary key, tenant_id text, data jsonb",
    fill: `insert into shape select n, 'tenant ' || n % 100, (select jsonb_object_agg('key ' || k, jsonb_build_array(k * n, 'value ' || k)) from generate_series(1, 30) k)
      from generate_series(1, $1) n`,
    change: undefined,
  },
] as const;

const RULES = { tenantColumn: "tenant_id", primaryKey: ["id"], hidden: new Set<string>() };
const JOURNAL = { maxHistoryAgeMs: 300_000, maxHistoryBytes: 16 * 1024 * 1024 };
const TIMEOUTS = {
  connectTimeoutMs: 10_000,
  statusIntervalMs: 10_000,
  probeTimeoutMs: 30_000,
  senderTimeoutMs: 60_000,
};

/** How fast the log of the database becomes documents. */
export const walDecode: Benchmark = { name: "wal-decode", title: "Decoding PostgreSQL's log", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const changes = short ? 20_000 : 100_000;
  const rounds = short ? 1 : 5;
  const server = await startOwnPostgres();
  const pool = new Pool({ connectionString: server.url });
  try {
    const rows: string[][] = [];
    for (const shape of SHAPES) {
      progress(shape.title);
      rows.push(await measure(pool, server.url, shape, changes, rounds));
    }
    return { table: { head: HEAD, rows }, notes: notesOf(changes, rounds) };
  } finally {
    await pool.end();
    await server.stop();
  }
}

const HEAD = [
  "",
  "JSON each",
  "decoded per second",
  "decoded and kept for a restart per second",
  "read and decoded per second",
];

function notesOf(changes: number, rounds: number): string[] {
  return [
    `${changes.toLocaleString("en-US")} changes, medians of ${rounds} rounds after one to warm up; per second of CPU time of the one process that decodes, so per core. ` +
      "Decoded: from the bytes of pgoutput to tenant, document id and JSON text of each row, from memory. Kept for a restart: the same, and into the journal, which holds 16 MB: what a published table costs that nobody watches. Read and decoded: the same from a replication " +
      "connection, with all that the connection costs. Updates come with the whole row before, since the table has REPLICA IDENTITY FULL. " +
      "`pg-logical-replication` is not installed with this repository, so it is not in the table.",
  ];
}

async function measure(
  pool: Pool,
  url: string,
  { title, columns, fill, change }: (typeof SHAPES)[number],
  changes: number,
  rounds: number,
): Promise<string[]> {
  await pool.query(`create table shape (${columns})`);
  await pool.query("alter table shape replica identity full");
  await pool.query("create publication bench for table shape");
  if (change !== undefined) await pool.query(fill, [changes]);
  await pool.query("select pg_create_logical_replication_slot('bench', 'pgoutput')");
  try {
    if (change === undefined) await pool.query(fill, [changes]);
    else await pool.query(change);
    const types = new TypeCatalog({ pool });
    const { rows } = await pool.query<{ typeOid: number }>(
      `select atttypid::int as "typeOid" from pg_attribute where attrelid = 'shape'::regclass`,
    );
    await types.load(rows);
    const payloads = await readPayloads(url, types);
    const speeds = new Rounds<"memory" | "journal" | "stream">();
    let bytes = 0;
    for (let round = 0; round <= rounds; round += 1) {
      const decoder = new CountingDecoder(types);
      const memory = cpuSeconds(() => {
        for (const payload of payloads) decoder.decode(payload);
      });
      const journaling = new CountingDecoder(types, new Journal(JOURNAL));
      const journal = cpuSeconds(() => {
        for (const payload of payloads) journaling.decode(payload);
      });
      const stream = await measureStream(url, types, changes);
      if (decoder.changes !== changes)
        throw new Error(`${decoder.changes} changes were decoded, not ${changes}.`);
      bytes = decoder.characters / changes;
      // The first round is for the compiler.
      if (round > 0) {
        speeds.add("memory", changes / memory);
        speeds.add("journal", changes / journal);
        speeds.add("stream", changes / stream);
      }
    }
    const figures = (["memory", "journal", "stream"] as const).map((what) => figure(speeds.median(what)));
    return [title, `${figure(bytes)} B`, ...figures];
  } finally {
    await pool.query("select pg_drop_replication_slot('bench')");
    await pool.query("drop publication bench");
    await pool.query("drop table shape");
  }
}

/** Does what the source does with each change, for the tenants that are watched. */
class CountingDecoder {
  changes = 0;
  characters = 0;
  readonly #types: TypeCatalog;
  readonly #parser = new PgoutputParser();
  readonly #journal: Journal | undefined;
  #encoder: RowEncoder | undefined;

  constructor(types: TypeCatalog, journal?: Journal) {
    this.#types = types;
    this.#journal = journal;
  }

  decode(payload: Buffer): void {
    const message = this.#parser.parse(payload);
    if (message.kind === "relation") {
      this.#encoder = new RowEncoder(message.relation, RULES, this.#types);
    } else if (message.kind === "insert" || message.kind === "update") {
      const old = message.kind === "update" ? message.old : undefined;
      const encoder = this.#encoder;
      if (encoder === undefined) throw new Error("A row came before its table.");
      const tenant = encoder.tenant(message.row, old) ?? "";
      if (old !== undefined && (encoder.tenant(old) !== tenant || encoder.documentId(old) === "")) {
        throw new Error("A row moved.");
      }
      const id = encoder.documentId(message.row, old);
      const { document, prior } =
        old === undefined
          ? { document: encoder.document(message.row), prior: "" }
          : encoder.documents(message.row, old);
      if (tenant === "" || id === "" || prior === document) throw new Error("A row is of nobody.");
      this.changes += 1;
      this.characters += document.length;
      if (this.#journal === undefined) return;
      const type = old === undefined ? "insert" : "update";
      const body = { type, documentId: id, document, ...(old === undefined ? {} : { prior }) } as const;
      const position = String(this.changes).padStart(28, "0");
      const channel = { tenant, collection: "shape" };
      this.#journal.add({ channel, position, committedAtMs: 0, transaction: 0, body }, 0);
    }
  }
}

/** The slot is never confirmed, so each run reads the same. */
async function readStream(url: string, onData: (payload: Buffer) => boolean): Promise<void> {
  const given = new AbortController();
  const connection = await ReplicationConnection.open({
    url,
    applicationName: "bench",
    ...TIMEOUTS,
    signal: given.signal,
  });
  const complete = new Promise<void>((resolve) => {
    void connection.start("bench", "bench", 0n, {
      onData(payload) {
        if (onData(payload)) resolve();
      },
      onKeepalive: () => undefined,
      onPause: () => undefined,
      processed: () => 0n,
      acknowledged: () => 0n,
    });
  });
  await Promise.race([complete, connection.ended]);
  await connection.close(1_000);
}

const COMMIT = 0x43;

async function readPayloads(url: string, types: TypeCatalog): Promise<readonly Buffer[]> {
  const payloads: Buffer[] = [];
  const decoder = new CountingDecoder(types);
  await readStream(url, (payload) => {
    payloads.push(Buffer.from(payload));
    decoder.decode(payload);
    return payload[0] === COMMIT && decoder.changes > 0;
  });
  return payloads;
}

async function measureStream(url: string, types: TypeCatalog, changes: number): Promise<number> {
  const decoder = new CountingDecoder(types);
  const before = process.cpuUsage();
  await readStream(url, (payload) => {
    decoder.decode(payload);
    return payload[0] === COMMIT && decoder.changes > 0;
  });
  const { user, system } = process.cpuUsage(before);
  if (decoder.changes !== changes) throw new Error(`${decoder.changes} changes were read, not ${changes}.`);
  return (user + system) / 1e6;
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
