import { afterAll, beforeAll, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { SAMPLE_TYPES, TYPE_SAMPLES } from "../support/type-samples.ts";
import { openWalReader } from "../support/wal-reader.ts";
import type { WalReader } from "../support/wal-reader.ts";
import { WRITER_SESSIONS } from "../support/writer-sessions.ts";

let database: TestDatabase;
let test: TestSource;
let reader: WalReader;
let stream: TestWalSource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

const COLUMNS = TYPE_SAMPLES.map(([type, ...values], index) => ({ name: `c${String(index)}`, type, values }));
const ROWS = Math.max(...COLUMNS.map(({ values }) => values.length));
const SAMPLES = { tenantColumn: "tenant_id", primaryKey: ["id"], hidden: new Set<string>() };

/** What sessions of the database begin with: the stream's, too. */
const DATABASE_SETTINGS = [
  "timezone = 'America/St_Johns'",
  "datestyle = 'SQL, DMY'",
  "intervalstyle = 'sql_standard'",
  "bytea_output = 'escape'",
  "extra_float_digits = -5",
  "quote_all_identifiers = on",
];

beforeAll(async () => {
  database = await createApplicationDatabase();
  await query(`alter database ${database.name} set lc_monetary = 'en_US.UTF-8'`).catch(() => undefined);
  for (const setting of DATABASE_SETTINGS) await query(`alter database ${database.name} set ${setting}`);
  for (const sql of SAMPLE_TYPES) await query(sql);
  const columns = COLUMNS.map(({ name, type }) => `${name} ${type}`).join(", ");
  await query(`create table samples (id int primary key, tenant_id text, ${columns})`);
  test = await openTestSource({ url: database.url });
  reader = await openWalReader(database, ["samples"]);
  stream = await openWalSource({ url: database.url });
});

afterAll(async () => {
  await stream.source.close();
  await test.source.close();
  await reader.close();
  await database.drop();
});

it.each(WRITER_SESSIONS)(
  "makes the JSON that notify delivers, of every type, by %s",
  async (_name, settings) => {
    const tenant = `t${String(settings.length)}`;
    await test.watch(tenant, "samples");
    await stream.watch(tenant, "samples");
    await query("truncate samples");
    for (let row = 0; row < ROWS; row++) {
      const values = COLUMNS.map(({ values: all }) => all[row % all.length]).join(", ");
      await query(`insert into samples values (${String(row)}, 'someone else', ${values})`);
    }
    await reader.messages();
    const writer = await database.pool.connect();
    try {
      for (const setting of settings) await writer.query(setting);
      await writer.query("update public.samples set tenant_id = $1", [tenant]);
      await writer.query("update public.samples set id = id");
      await writer.query("delete from public.samples");
    } finally {
      writer.release(true);
    }
    const notified = await test.sink.next(tenant, "samples", 3 * ROWS);
    const decoded = await reader.changes(SAMPLES);
    expect(decoded.map(({ tenant: owner }) => owner)).toEqual(notified.map(() => tenant));
    for (const [index, { id, text, type }] of notified.entries()) {
      const { [index]: change } = decoded;
      // One that moved from another tenant is its first for this one.
      expect([change?.id, change?.type]).toEqual([id, index < ROWS ? "update" : type]);
      expect(partsOf(change?.text)).toEqual(partsOf(text));
      expect(change?.text).toBe(text);
    }
  },
);

/** The members of a row's JSON, for a difference that can be read. */
function partsOf(text: string | undefined): readonly string[] {
  return (text ?? "").split(/,(?="c\d+":)/);
}
