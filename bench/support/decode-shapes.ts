import type { Pool } from "pg";

const CHAT = `id bigint primary key, tenant_id text, room uuid default gen_random_uuid(), author text default 'Ada Lovelace',
  body text, likes int default 0, edited bool default false, at timestamptz default now()`;
const BODY =
  "'Message ' || n || ': shall we meet at the \"Blue Door\" at half past nine, or is that too early for you?'";
const FILL_CHAT = `insert into shape (id, tenant_id, body) select n, 'tenant ' || n % 100, ${BODY} from generate_series(1, $1::int) n`;

/** A table, and one statement that changes as many of its rows as are asked for. */
export interface DecodeShape {
  readonly title: string;
  readonly columns: string;
  readonly fill: string;
  /** What is decoded, where it is not the filling itself. */
  readonly change?: string;
}

/** What is decoded. */
export const DECODE_SHAPES: readonly DecodeShape[] = [
  { title: "8 columns, inserted", columns: CHAT, fill: FILL_CHAT },
  {
    title: "8 columns, updated",
    columns: CHAT,
    fill: FILL_CHAT,
    change: "update shape set likes = likes + 1",
  },
  {
    title: "32 columns, inserted",
    columns: `id bigint primary key, tenant_id text, ${Array.from({ length: 10 }, (_, n) => `i${n} int, n${n} numeric(12,2), t${n} timestamptz`).join(", ")}`,
    fill: `insert into shape select n, 'tenant ' || n % 100, ${Array.from({ length: 10 }, () => "n, n / 8.0, now()").join(", ")} from generate_series(1, $1::int) n`,
  },
  {
    title: "1 kB of jsonb, inserted",
    columns: "id bigint primary key, tenant_id text, data jsonb",
    fill: `insert into shape select n, 'tenant ' || n % 100, (select jsonb_object_agg('key ' || k, jsonb_build_array(k * n, 'value ' || k)) from generate_series(1, 30) k)
      from generate_series(1, $1::int) n`,
  },
];

/** The slot and the publication that have the changes, and nothing else. */
export const DECODE_SLOT = "bench";

/** Puts changes of this shape into a slot that is never confirmed, so that each reader gets the same. */
export async function withChanges(
  pool: Pool,
  { columns, fill, change }: DecodeShape,
  changes: number,
  read: () => Promise<void>,
): Promise<void> {
  await pool.query(`create table shape (${columns})`);
  await pool.query("alter table shape replica identity full");
  await pool.query(`create publication ${DECODE_SLOT} for table shape`);
  if (change !== undefined) await pool.query(fill, [changes]);
  await pool.query(`select pg_create_logical_replication_slot('${DECODE_SLOT}', 'pgoutput')`);
  try {
    if (change === undefined) await pool.query(fill, [changes]);
    else await pool.query(change);
    await read();
  } finally {
    await pool.query(`select pg_drop_replication_slot('${DECODE_SLOT}')`);
    await pool.query(`drop publication ${DECODE_SLOT}`);
    await pool.query("drop table shape");
  }
}
