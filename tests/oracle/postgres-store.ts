import { DatabaseError, Pool, type QueryResult } from "pg";
import { until } from "../support/until.ts";
import type { Image } from "./image.ts";
import type { CollectionPlan } from "./plan.ts";
import { imageOf } from "./postgres-json.ts";
import { openPostgresTransaction } from "./postgres-transaction.ts";
import type { Store } from "./store.ts";

/** What values look like in images, whatever the server's defaults are. */
const SESSION_OPTIONS = [
  "timezone=UTC",
  "datestyle=ISO",
  "intervalstyle=postgres",
  "bytea_output=hex",
  "extra_float_digits=1",
].map((option) => `-c ${option}`);
const RECOVERY_TIMEOUT_MS = 60_000;
/** Deadlock, serialization failure, and the endings of a server. */
const EXPECTED_CODES = /^(?:40P01|40001|57P0[123]|08\w{3})$/;
const LOST_CONNECTION = /terminated|ended|timeout|closed|connection error/i;
/** The name of the slot, and of the publication, that the order of commits is read from. */
const ORDER = "oracle_order";

/** Opens the store on a PostgreSQL with `wal_level = logical`. */
export async function openPostgresStore(url: string): Promise<Store> {
  const pool = new Pool({
    connectionString: url,
    max: 10,
    application_name: "oracle",
    options: SESSION_OPTIONS.join(" "),
  });
  // Connections that a fault takes away; queries on them fail by themselves.
  pool.on("error", () => undefined);
  await pool.query("create schema oracle");
  await pool.query("create table oracle.transactions (id int primary key)");
  await pool.query(`create publication ${ORDER} for table oracle.transactions`);
  await pool.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [ORDER]);
  return {
    async create(collection) {
      for (const statement of tablesOf(collection)) await pool.query(statement);
    },
    begin: (id) => openPostgresTransaction(pool, id),
    wasCommitted: (id) =>
      untilAnswered(() => pool.query("select from oracle.transactions where id = $1", [id])).then(
        ({ rowCount }) => rowCount === 1,
      ),
    fetchCommitOrder: () => fetchCommitOrder(pool),
    async fetchAll(collection) {
      const { rows } = await pool.query<{ row: string }>(
        `select to_json(t)::text as row from ${collection.name} t`,
      );
      return rows.map(({ row }): Image => imageOf(collection, row));
    },
    isExpected(error) {
      if (error instanceof DatabaseError) return EXPECTED_CODES.test(error.code ?? "");
      return error instanceof Error && ("code" in error || LOST_CONNECTION.test(error.message));
    },
    close: () => pool.end(),
  };
}

function untilAnswered(ask: () => Promise<QueryResult>): Promise<QueryResult> {
  return until(() => ask().catch(() => undefined), {
    timeoutMs: RECOVERY_TIMEOUT_MS,
    describe: "a database that answers again",
  });
}

const REGIONS = ["n", "s"];

function tablesOf(collection: CollectionPlan): readonly string[] {
  const { name, keyKind, tenantColumn, columns, isPartitioned, isBodyExternal } = collection;
  const key = {
    number: ["id int primary key"],
    text: ["id text primary key"],
    composite: ["region text", "id int", "primary key (region, id)"],
  }[keyKind];
  const others = columns.map((column) => `${column.name} ${column.type}`);
  const all = [...key, `${tenantColumn} text`, "mark int not null", "body text", ...others];
  const partitions = REGIONS.map(
    (region) =>
      `create table if not exists ${name}_${region} partition of ${name} for values in ('${region}')`,
  );
  return [
    `create table if not exists ${name} (${all.join(", ")})${isPartitioned ? " partition by list (region)" : ""}`,
    ...(isBodyExternal ? [`alter table ${name} alter column body set storage external`] : []),
    ...(isPartitioned ? partitions : []),
  ];
}

/** From the write-ahead log, by a slot of our own: each transaction has one insert into the published table. */
async function fetchCommitOrder(pool: Pool): Promise<readonly number[]> {
  const { rows } = await pool.query<{ data: Buffer }>(
    `select data from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', '${ORDER}')`,
    [ORDER],
  );
  return rows
    .map(({ data }) => data)
    .filter((data) => data[0] === INSERT)
    .map(insertedId);
}

const INSERT = "I".codePointAt(0);
/** Of an insert: its kind, the relation, "N", the number of columns, the first column's kind. */
const VALUE_OFFSET = 1 + 4 + 1 + 2 + 1;

function insertedId(message: Buffer): number {
  const length = message.readInt32BE(VALUE_OFFSET);
  return Number(message.toString("utf8", VALUE_OFFSET + 4, VALUE_OFFSET + 4 + length));
}
