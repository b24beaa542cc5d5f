import { afterAll, beforeAll, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { WRITER_SESSIONS } from "../support/writer-sessions.ts";

let database: TestDatabase;
let test: TestSource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

/** Column → its type, the SQL of a value, and what a client sees, as JSON text. */
const COLUMNS: readonly (readonly [name: string, type: string, value: string, json: string])[] = [
  ["int2_v", "int2", "-32768", "-32768"],
  ["int4_v", "int4", "2147483647", "2147483647"],
  ["int8_safe", "int8", "9007199254740991", "9007199254740991"],
  ["int8_unsafe", "int8", "9007199254740993", '"9007199254740993"'],
  ["int8_min", "int8", "-9223372036854775808", '"-9223372036854775808"'],
  ["numeric_short", "numeric(10,2)", "12.50", "12.50"],
  [
    "numeric_long",
    "numeric",
    "0.1000000000000000055511151231257827",
    '"0.1000000000000000055511151231257827"',
  ],
  ["numeric_whole", "numeric", "12345678901234567890", '"12345678901234567890"'],
  ["numeric_nan", "numeric", "'NaN'", '"NaN"'],
  ["numeric_inf", "numeric", "'-Infinity'", '"-Infinity"'],
  ["float4_v", "float4", "0.1", "0.1"],
  ["float8_v", "float8", "0.1::float8 + 0.2::float8", "0.30000000000000004"],
  ["float8_big", "float8", "1.7976931348623157e308", "1.7976931348623157e+308"],
  ["float8_nan", "float8", "'NaN'", '"NaN"'],
  ["float8_inf", "float8", "'Infinity'", '"Infinity"'],
  ["bool_v", "bool", "true", "true"],
  ["text_v", "text", `E'li\\nne "q" \\\\ naïve 🐘 \\u2028'`, '"li\\nne \\"q\\" \\\\ naïve 🐘 \u2028"'],
  ["varchar_v", "varchar(5)", "'abc'", '"abc"'],
  ["char_v", "char(5)", "'abc'", '"abc  "'],
  ["timestamp_v", "timestamp", "'2026-02-03 04:05:06.123456'", '"2026-02-03T04:05:06.123456"'],
  ["timestamp_inf", "timestamp", "'infinity'", '"infinity"'],
  ["timestamptz_v", "timestamptz", "'2026-07-03 04:05:06.123456+02'", '"2026-07-03T02:05:06.123456+00:00"'],
  ["date_v", "date", "'2026-02-03'", '"2026-02-03"'],
  ["time_v", "time", "'04:05:06.5'", '"04:05:06.5"'],
  ["timetz_v", "timetz", "'04:05:06+02'", '"04:05:06+02"'],
  ["interval_v", "interval", "'1 year 2 days 03:04:05.6'", '"1 year 2 days 03:04:05.6"'],
  [
    "json_v",
    "json",
    `E'{"b" : 9007199254740993,\\n "a": [1.0, 0.1000000000000000055] }'`,
    '{"b":"9007199254740993","a":[1.0,"0.1000000000000000055"]}',
  ],
  [
    "jsonb_v",
    "jsonb",
    `'{"b": 9007199254740993, "a": {"c": [1e2, null, true]}}'`,
    '{"a":{"c":[100,null,true]},"b":"9007199254740993"}',
  ],
  ["jsonb_null", "jsonb", "'null'", "null"],
  ["int8_array", "int8[]", "array[[1, 9007199254740993], [null, 2]]", '[[1,"9007199254740993"],[null,2]]'],
  [
    "timestamptz_array",
    "timestamptz[]",
    "array['2026-01-01 00:00+01'::timestamptz]",
    '["2025-12-31T23:00:00+00:00"]',
  ],
  ["json_array", "jsonb[]", `array['{"a": 1}'::jsonb]`, '[{"a":1}]'],
  ["empty_array", "text[]", "'{}'", "[]"],
  ["domain_v", "positive_amount", "1.5", "1.5"],
  ["bytea_v", "bytea", "'\\x00ff'", '"\\\\x00ff"'],
  ["enum_v", "mood", "'so so'", '"so so"'],
  ["uuid_v", "uuid", "'6f9619ff-8b86-d011-b42d-00cf4fc964ff'", '"6f9619ff-8b86-d011-b42d-00cf4fc964ff"'],
  ["range_v", "int4range", "'[1,5)'", '"[1,5)"'],
  ["tsrange_v", "tstzrange", "'[2026-01-01 00:00+01,)'", '"[\\"2025-12-31 23:00:00+00\\",)"'],
  ["inet_v", "inet", "'10.0.0.1/8'", '"10.0.0.1/8"'],
  ["oid_v", "oid", "4294967295", '"4294967295"'],
  ["regclass_v", "regclass", "'pg_class'", '"pg_class"'],
  ["money_v", "money", "1234.5::numeric::money", '"$1,234.50"'],
  ["xml_v", "xml", "'<a>1</a>'", '"<a>1</a>"'],
  ["tsvector_v", "tsvector", "'a fat cat'", `"'a' 'cat' 'fat'"`],
  ["bit_v", "bit(3)", "'101'", '"101"'],
  ["point_v", "point", "'(0.1,2)'", '"(0.1,2)"'],
  [
    "composite_v",
    "pair",
    "row(9007199254740993, '2026-01-01 00:00+01')::pair",
    '{"n":"9007199254740993","at":"2025-12-31T23:00:00+00:00"}',
  ],
  ["null_v", "text", "null", "null"],
  ["generated_v", "int generated always as (int4_v - 1) stored", "default", "2147483646"],
];

beforeAll(async () => {
  database = await createApplicationDatabase();
  await query(`alter database ${database.name} set lc_monetary = 'en_US.UTF-8'`).catch(() => undefined);
  await query("create type mood as enum ('so so', 'good')");
  await query("create domain positive_amount as numeric check (value > 0)");
  await query("create type pair as (n int8, at timestamptz)");
  const columns = COLUMNS.map(([name, type]) => `${name} ${type}`).join(", ");
  await query(`create table typed (id int primary key, tenant_id text, ${columns})`);
  test = await openTestSource({ url: database.url });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

it.each(WRITER_SESSIONS)("delivers every type exactly, by %s", async (_name, settings) => {
  const tenant = `t${String(settings.length)}`;
  await test.watch(tenant, "typed");
  // The values are computed where settings do not matter, and written where they do.
  const values = COLUMNS.map(([, , value]) => value).join(", ");
  await query("delete from typed");
  await query(`insert into typed values (1, 'someone else', ${values})`);
  const writer = await database.pool.connect();
  try {
    for (const setting of settings) await writer.query(setting);
    await writer.query("update public.typed set tenant_id = $1", [tenant]);
    await writer.query("delete from public.typed");
  } finally {
    writer.release(true);
  }
  const [insert, removal] = await test.sink.next(tenant, "typed", 2);
  const money = await query("select 1234.5::numeric::money::text as money");
  const expected = COLUMNS.map(
    ([name, , , json]) =>
      `${JSON.stringify(name)}:${name === "money_v" ? JSON.stringify(money.rows[0]?.["money"]) : json}`,
  );
  expect(insert?.text.split(/,(?="\w+_\w+":)/)).toEqual(
    [`{"id":1`, `"tenant_id":"${tenant}"`, ...expected].map((part, index, all) =>
      index === all.length - 1 ? `${part}}` : part,
    ),
  );
  expect(removal?.text).toBe(insert?.text);
});
