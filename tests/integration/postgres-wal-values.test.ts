import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openWalReader } from "../support/wal-reader.ts";
import type { WalReader } from "../support/wal-reader.ts";
import { WRITER_SESSIONS } from "../support/writer-sessions.ts";

/** A column, the SQL of its value with a `?` for each parameter, and what the parameters may be. */
interface RandomColumn {
  readonly type: string;
  readonly value: string;
  readonly parameters: fc.Arbitrary<readonly unknown[]>;
}

const oneCharacter = { minLength: 1, maxLength: 1 };
const unit = fc.oneof(
  fc.constantFrom('"', "\\", ",", "{", "}", "(", ")", " ", "\n", "\u0001", "NULL"),
  fc.string({ unit: "grapheme", ...oneCharacter }),
  fc.string({ unit: "binary", ...oneCharacter }),
);
const text = fc.string({ unit, maxLength: 12 }).map((value) => value.replaceAll("\0", ""));
const integer = fc
  .oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.bigInt({ min: -(2n ** 53n) - 2n, max: 2n ** 53n + 2n }),
    fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 53n + 2n }),
  )
  .map(String);
const decimal = fc.oneof(
  fc
    .tuple(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }), fc.nat(20))
    .map(([digits, scale]) => `${String(digits)}e-${String(scale)}`),
  fc.tuple(integer, fc.stringMatching(/^[0-9]{1,20}$/)).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom("NaN", "Infinity", "-Infinity", "0", "-0.000"),
);
const double = fc.double().map((value) => (Object.is(value, -0) ? "-0" : String(value)));
const single = fc.float().map((value) => (Object.is(value, -0) ? "-0" : String(value)));
const padded = (max: number, width: number, min = 0): fc.Arbitrary<string> =>
  fc.integer({ min, max }).map((value) => String(value).padStart(width, "0"));
const timestamp = fc.oneof(
  fc
    .tuple(
      padded(4_000, 4, 1),
      padded(12, 2, 1),
      padded(28, 2, 1),
      padded(23, 2),
      padded(59, 2),
      padded(59, 2),
      padded(999_999, 6),
      fc.constantFrom("", " BC"),
    )
    .map(
      ([year, month, day, hour, minute, second, micro, era]) =>
        `${year}-${month}-${day} ${hour}:${minute}:${second}.${micro}${era}`,
    ),
  fc.constantFrom("infinity", "-infinity"),
);
const json = fc
  .tuple(fc.jsonValue({ stringUnit: "grapheme" }), fc.nat(3))
  .map(([value, indent]) => JSON.stringify(value, null, indent));
/** Numbers that JSON.stringify does not write. */
const numberJson = fc
  .tuple(decimal, integer)
  .map(
    ([a, b]) =>
      `[ ${a.includes("I") || a.includes("N") ? "1" : a} ,{"n":${b}, "n" :1E${String(Math.abs(Number(b)) % 300)}}]`,
  );
const listOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<readonly unknown[]> =>
  fc.array(fc.option(value), { maxLength: 6 });
const one = (value: fc.Arbitrary<unknown>): fc.Arbitrary<readonly unknown[]> =>
  fc.option(value).map((parameter) => [parameter]);

const COLUMNS: readonly RandomColumn[] = [
  ...(
    [
      ["int8", integer],
      ["int4", fc.integer()],
      ["numeric", decimal],
      ["float8", double],
      ["float4", single],
      ["bool", fc.boolean()],
      ["text", text],
      ["citext", text],
      ["bytea", fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))],
      ["timestamp", timestamp],
      ["timestamptz", timestamp],
      ["date", timestamp],
      [
        "interval",
        fc
          .tuple(
            fc.integer({ min: -999, max: 999 }),
            fc.integer({ min: -999, max: 999 }),
            fc.integer({ min: -99_999, max: 99_999 }),
          )
          .map(
            ([months, days, seconds]) =>
              `${String(months)} months ${String(days)} days ${String(seconds)}.5 seconds`,
          ),
      ],
      ["json", fc.oneof(json, numberJson)],
      ["jsonb", fc.oneof(json, numberJson)],
      ["text[]", listOf(text)],
      [
        "text[]",
        fc.integer({ min: 1, max: 3 }).chain((width) =>
          fc.array(fc.array(fc.option(text), { minLength: width, maxLength: width }), {
            minLength: 1,
            maxLength: 3,
          }),
        ),
      ],
      ["int8[]", listOf(integer)],
      ["float8[]", listOf(double)],
      ["timestamptz[]", listOf(timestamp)],
      ["bool[]", listOf(fc.boolean())],
    ] as const
  ).map(([type, value]) => ({ type, value: `?::${type}`, parameters: one(value) })),
  {
    type: "triple",
    value: "row(?::text, ?::int8, ?::text[])::triple",
    parameters: fc.tuple(fc.option(text), fc.option(integer), fc.option(listOf(text))),
  },
  {
    type: "triple[]",
    value: "array[row(?::text, ?::int8, ?::text[])::triple, row(?::text, null, null)::triple]",
    parameters: fc.tuple(fc.option(text), fc.option(integer), fc.option(listOf(text)), fc.option(text)),
  },
  {
    type: "outer_row",
    value: "row(row(?::text, ?::int8, ?::text[])::triple, ?::json)::outer_row",
    parameters: fc.tuple(fc.option(text), fc.option(integer), fc.option(listOf(text)), fc.option(json)),
  },
  {
    type: "hstore",
    value: "hstore(?::text, ?::text) || hstore(?::text, ?::text)",
    parameters: fc.tuple(text, fc.option(text), text, fc.option(text)),
  },
  { type: "text_range", value: "text_range(least(?::text, 'm'), 'n')", parameters: one(text) },
];

const TABLE = { tenantColumn: "tenant_id", primaryKey: ["id"], hidden: new Set<string>() };
const ROWS_PER_RUN = 12;

let database: TestDatabase;
let test: TestSource;
let reader: WalReader;

beforeAll(async () => {
  database = await createApplicationDatabase();
  for (const sql of [
    "create extension hstore",
    "create extension citext",
    "create type triple as (a text, b int8, c text[])",
    `create type outer_row as ("i ""n""" triple, j json)`,
    `create type text_range as range (subtype = text, collation = "C")`,
    `create table random (id int primary key, tenant_id text, ${COLUMNS.map(({ type }, index) => `c${String(index)} ${type}`).join(", ")})`,
  ]) {
    await database.query(sql);
  }
  test = await openTestSource({ url: database.url });
  reader = await openWalReader(database, ["random"]);
});

afterAll(async () => {
  await test.source.close();
  await reader.close();
  await database.drop();
});

it("makes the JSON that notify delivers, whatever the values (property)", async () => {
  const row = fc.tuple(...COLUMNS.map(({ parameters }) => parameters));
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: ROWS_PER_RUN }),
      fc.constantFrom(...WRITER_SESSIONS),
      async (rows, [, settings]) => {
        runs += 1;
        const tenant = `tenant ${String(runs)}`;
        await test.watch(tenant, "random");
        for (const [index, values] of rows.entries()) await insert(index, values);
        await reader.messages();
        const writer = await database.pool.connect();
        try {
          for (const setting of settings) await writer.query(setting);
          await writer.query("update public.random set tenant_id = $1", [tenant]);
          await writer.query("update public.random set id = -id - 1 where id % 2 = 0");
          await writer.query("update public.random set id = id");
          await writer.query("delete from public.random");
        } finally {
          writer.release(true);
        }
        // A change of the key is two changes for clients, and one here.
        const moved = Math.ceil(rows.length / 2);
        const notified = await test.sink.next(tenant, "random", 3 * rows.length + 2 * moved);
        const decoded = await reader.changes(TABLE);
        const delivered = notified.filter(
          ({ type }, index) => type !== "delete" || index >= rows.length + 2 * moved,
        );
        expect(decoded.map(({ text: document }) => document)).toEqual(
          delivered.map(({ text: document }) => document),
        );
        expect(decoded.map(({ id }) => id)).toEqual(delivered.map(({ id }) => id));
        expect(delivered).toHaveLength(3 * rows.length + moved);
      },
    ),
    { numRuns: 15, endOnFailure: true },
  );
});

async function insert(id: number, values: readonly (readonly unknown[])[]): Promise<void> {
  const parameters: unknown[] = [id];
  const shown = COLUMNS.map(({ value }, index) => {
    const given = [...(values[index] ?? [])];
    return value.replaceAll("?", () => {
      parameters.push(given.shift());
      return `$${String(parameters.length)}`;
    });
  });
  await database.query(`insert into random values ($1, 'someone else', ${shown.join(", ")})`, parameters);
}
