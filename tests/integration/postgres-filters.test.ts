import fc from "fast-check";
import { escapeIdentifier, escapeLiteral } from "pg";
import type { PoolClient } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import type { SqlTable } from "../../packages/server/src/filter/sql-column.ts";
import { toSql } from "../../packages/server/src/filter/to-sql.ts";
import { documentJson } from "../../packages/server/src/source/document-json.ts";
import { takeSql } from "../../packages/server/src/source/postgres/snapshot/snapshot-sql.ts";
import type { TableFacts } from "../../packages/server/src/source/postgres/snapshot/snapshot-sql.ts";
import type { CapturedTable } from "../../packages/server/src/source/postgres/table.ts";
import { FILTER_COLUMNS, FILTER_TYPES, nearby } from "../support/filter-table.ts";
import { rawFilters, WIDE_LIMITS } from "../support/filters.ts";
import { createApplicationDatabase } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { WRITER_SESSIONS } from "../support/writer-sessions.ts";

/** As the sources set them before they read a row. */
const OUTPUT_SETTINGS = [
  "timezone = 'UTC'",
  "datestyle = 'ISO, YMD'",
  "intervalstyle = 'postgres'",
  "extra_float_digits = 1",
];
/** More rows than any column has samples, so that all meet, in different company. */
const ROWS = 61;

const CAPTURED: CapturedTable = {
  collection: "t",
  oid: 0,
  name: { schema: "public", table: "t" },
  tenantColumn: "row_id",
  primaryKey: ["row_id"],
  hidden: new Set(),
  virtualColumns: [],
  shape: "",
  partitions: [],
  attachments: "",
  triggers: [],
};

let database: TestDatabase;
/** As snapshots find it. */
let table: SqlTable;
let reader: PoolClient;
/** What is delivered of each row, in order of their ids. */
let documents: readonly JsonObject[];

beforeAll(async () => {
  database = await createApplicationDatabase();
  for (const sql of FILTER_TYPES) await database.query(sql);
  const declared = FILTER_COLUMNS.map(({ name, declaration }) => `${escapeIdentifier(name)} ${declaration}`);
  await database.query(`create table t (row_id int primary key, ${declared.join(", ")})`);
  for (let row = 0; row < ROWS; row++) {
    const values = FILTER_COLUMNS.map(({ samples }, place) => {
      const index = (row + place) % (samples.length + 1);
      return samples[index] ?? "null";
    });
    await database.query(`insert into t values (${String(row)}, ${values.join(", ")})`);
  }
  reader = await database.pool.connect();
  const facts = await reader.query<TableFacts>(takeSql(CAPTURED), [await oidOf("t")]);
  const types = Object.entries(facts.rows[0]?.types ?? {});
  const columns = types.map(
    ([name, type]) => [name, { reference: `t.${escapeIdentifier(name)}`, type }] as const,
  );
  table = { columns: new Map(columns), encoding: "UTF8" };
  for (const setting of OUTPUT_SETTINGS) await reader.query(`set ${setting}`);
  const { rows } = await reader.query<{ json: string }>(
    "select row_to_json(t)::text as json from t order by row_id",
  );
  documents = rows.map(({ json }) => JSON.parse(documentJson(json)) as JsonObject);
});

afterAll(async () => {
  reader.release(true);
  await database.drop();
});

async function oidOf(name: string): Promise<number> {
  const { rows } = await database.query<{ oid: number }>("select $1::regclass::int8::float8 as oid", [name]);
  return rows[0]?.oid ?? 0;
}

/** The ids of the rows that a condition leaves; undefined without one. */
async function narrowed(where: unknown): Promise<readonly number[] | undefined> {
  const condition = toSql(parseFilter(where, "where", WIDE_LIMITS), table, escapeLiteral);
  if (condition === undefined) return undefined;
  const { rows } = await reader.query<{ id: number }>(
    `select row_id as id from t where ${condition} order by row_id`,
  );
  return rows.map(({ id }) => id);
}

function matching(where: unknown): readonly number[] {
  const filter = parseFilter(where, "where", WIDE_LIMITS);
  return [...documents.keys()].filter((row) => filter.matches(documents[row] ?? {}));
}

function deliveredOf(column: string): readonly JsonValue[] {
  return documents.map((document) => document[column] ?? null);
}

it.each(FILTER_COLUMNS.filter(({ name }) => !name.includes(".")))(
  "finds each row of a column of type $declaration by what is delivered",
  async ({ name }) => {
    const values = [...new Set(deliveredOf(name))];
    for (const value of values) {
      const conditions: readonly unknown[] = [
        value,
        { $in: [value, "nothing", null] },
        { $ne: value },
        { $nin: [value, null] },
        ...(typeof value === "string" || typeof value === "number"
          ? [{ $gt: value }, { $gte: value }, { $lt: value }, { $lte: value }, { $not: { $gte: value } }]
          : []),
      ];
      for (const condition of conditions) {
        const where = { [name]: condition };
        if (isTooLarge(where)) continue;
        const found = await narrowed(where);
        if (found !== undefined)
          expect({ where, found }).toEqual({ where, found: expect.arrayContaining([...matching(where)]) });
      }
    }
  },
);

describe.each(WRITER_SESSIONS)("in a session with %s", (_name, settings) => {
  it("finds every row whose JSON matches, whatever the filter", async () => {
    for (const setting of settings.filter((one) => !/encoding|search_path/.test(one)))
      await reader.query(setting);
    const scalars = FILTER_COLUMNS.flatMap(({ name }) => deliveredOf(name)).filter(
      (value) => (typeof value === "string" || typeof value === "number") && !isTooLarge({ a: value }),
    ) as (string | number)[];
    const near = nearby(scalars).filter((value) => !isTooLarge({ a: value }));
    const names = FILTER_COLUMNS.map(({ name }) => name);
    const filters = rawFilters({
      paths: fc.oneof(
        { arbitrary: fc.constantFrom(...names), weight: 9 },
        { arbitrary: fc.constantFrom("missing", "data.n", "tags.0", "pair.n", "txt.0"), weight: 1 },
      ),
      values: fc.oneof(
        { arbitrary: near, weight: 5 },
        { arbitrary: fc.constantFrom<JsonValue[]>(null, true, false, [], ["open"], { n: 1 }), weight: 2 },
      ),
      bounds: near,
    });
    let narrowing = 0;
    await fc.assert(
      fc.asyncProperty(filters, async (where) => {
        const found = await narrowed(where);
        if (found === undefined) return;
        if (found.length < ROWS) narrowing++;
        const lost = matching(where).filter((row) => !found.includes(row));
        expect(lost).toEqual([]);
      }),
      { numRuns: 500 },
    );
    expect(narrowing).toBeGreaterThan(30);
  });
});

it.each<readonly [string, unknown]>([
  ["text", { txt: "open" }],
  ["texts", { txt: { $in: ["open", "OPEN", null] } }],
  ["a range of text", { txt: { $gte: "a", $lt: "z" } }],
  ["a number", { whole: { $gt: 1.5, $lte: 3 } }],
  ["no such number", { whole: 1.5 }],
  ["a large number", { large: "9007199254740993" }],
  ["a decimal", { dec: 1.5 }],
  ["not a number", { whole: { $ne: 3 } }],
  ["not true", { flag: { $ne: true } }],
  ["true", { flag: true }],
  ["null", { moment: null }],
  ["not null", { moment: { $ne: null } }],
  ["a UUID", { ident: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6" }],
  ["an enum", { mood: { $in: ["open", "no label"] } }],
  ["no enum", { mood: { $nin: ["open", null] } }],
  ["a day", { day: "2026-01-02" }],
  ["one or another", { $or: [{ txt: "open" }, { whole: 3 }] }],
  ["a type that is never delivered", { flag: "true" }],
])("reads no row too many for %s", async (_name, where) => {
  expect(await narrowed(where)).toEqual(matching(where));
});

it.each<readonly [string, string, unknown, RegExp]>([
  ["a moment", "instant", "2026-01-02T03:04:05.1+00:00", /^2026-01-02T03:04:05/],
  ["a moment without zone", "moment", "2026-01-02T03:04:05.1", /^2026-01-02T03:04:05/],
  [
    "the times of a day",
    "moment",
    { $gte: "2026-01-02", $lt: "2026-01-03" },
    /^2026-01-0[23]|BC$|^\d{5}|infinity/,
  ],
  [
    "times since a second",
    "instant",
    { $gt: "2026-01-02T03:04:05Z" },
    /^2026-(01-02T03:04:0[56]|12)|^9|BC$|^\d{5}|infinity/,
  ],
  ["days before", "day", { $lte: "1000-01-01" }, /^(0|1000)|BC$|^\d{5}|infinity/],
])("reads no other times than those near %s", async (_name, column, condition, near) => {
  const where = { [column]: condition };
  const found = (await narrowed(where)) ?? [...documents.keys()];
  expect(
    found
      .map((row) => documents[row]?.[column])
      .filter((text) => !near.test(JSON.stringify(text).slice(1, -1))),
  ).toEqual([]);
  expect(matching(where).length).toBeGreaterThan(0);
});

it("can use an index", async () => {
  await database.query("create table big (tenant_id text, room text, n int, at timestamptz)");
  await database.query("create index on big (tenant_id, room)");
  await database.query("create index on big (n)");
  await database.query("insert into big select 'a', 'r' || g, g, now() from generate_series(1, 20000) g");
  await database.query("analyze big");
  const columns = new Map(
    [
      ["room", "text"],
      ["n", "int4"],
    ].map(([name = "", type = ""]) => [name, { reference: name, type }]),
  );
  const plans = await Promise.all(
    [{ room: "r7" }, { room: { $in: ["r7", "r8"] } }, { n: 7 }, { n: { $gt: 7, $lt: 20 } }].map(
      async (where) => {
        const condition = toSql(
          parseFilter(where, "where", WIDE_LIMITS),
          { columns, encoding: "UTF8" },
          escapeLiteral,
        );
        const { rows } = await database.query<{ "QUERY PLAN": string }>(
          `explain select * from big where tenant_id = $1::text and ${condition ?? "true"}`,
          ["a"],
        );
        return rows.map((row) => row["QUERY PLAN"]).join("\n");
      },
    ),
  );
  for (const plan of plans) expect(plan).toContain("Index");
});

/** Delivered numbers that a filter must write as strings. */
function isTooLarge(where: unknown): boolean {
  try {
    parseFilter(where, "where", WIDE_LIMITS);
    return false;
  } catch {
    return true;
  }
}
