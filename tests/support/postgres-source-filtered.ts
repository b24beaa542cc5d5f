import fc from "fast-check";
import { expect, it } from "vitest";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { viewOf } from "./filtered-view.ts";
import { naiveMatch, rawFilters } from "./filters.ts";
import type { RawFilter } from "./filters.ts";
import { createApplicationDatabase, runInTransaction } from "./postgres-source.ts";
import type { OpenTestSource } from "./postgres-source.ts";

const HIDDEN = ["secret"];
const TENANTS = ["a", "b"];
const texts = fc.constantFrom(null, "x", "é", "it's \"", "x".repeat(60));
const numbers = fc.constantFrom(null, 0, 1, 2, 3);
const id = fc.integer({ min: 1, max: 5 });
const row = fc.record({
  id,
  tenant: fc.constantFrom(...TENANTS, null),
  body: texts,
  n: numbers,
  secret: numbers,
});
const column = fc.constantFrom("body", "n", "secret");
const write = fc.oneof(
  { weight: 3, arbitrary: row.map((values) => insertSql(values)) },
  {
    weight: 6,
    arbitrary: fc.tuple(id, column, texts, numbers).map(([which, name, text, number]) => {
      const value = name === "body" ? literal(text) : literal(number);
      return `update rows set ${name} = ${value} where id = ${String(which)}`;
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, fc.constantFrom(...TENANTS, null))
      .map(([which, tenant]) => `update rows set tenant_id = ${literal(tenant)} where id = ${String(which)}`),
  },
  { weight: 1, arbitrary: id.map((which) => `delete from rows where id = ${String(which)}`) },
  { weight: 1, arbitrary: numbers.map((number) => `update rows set n = ${literal(number)}`) },
);
const history = fc.array(fc.array(write, { minLength: 1, maxLength: 4 }), { minLength: 3, maxLength: 12 });
const filters = (paths: readonly string[]): fc.Arbitrary<RawFilter> =>
  rawFilters({
    paths: fc.constantFrom(...paths),
    values: fc.oneof(texts, numbers),
    bounds: fc.constantFrom<string | number>(0, 1, 2, "x"),
  });
const viewers = fc.array(
  fc.record({
    tenant: fc.constantFrom(...TENANTS),
    wanted: filters(["body", "n", "secret", "id"]),
    granted: filters(["n", "secret"]),
  }),
  { minLength: 1, maxLength: 6 },
);

interface Row {
  readonly id: number;
  readonly tenant_id: string;
  readonly secret: JsonValue;
  readonly [column: string]: JsonValue;
}

/** The events of a random history, seen through filters and grants, give what the database has. */
export function testFilteredViews(openTestSource: OpenTestSource): void {
  it("a filtered view of a random history is at its end what the filter leaves of the database's state (property)", async () => {
    const database = await createApplicationDatabase();
    await database.query(
      "create table rows (id int primary key, tenant_id text, body text, n int, secret int)",
    );
    const test = await openTestSource({
      url: database.url,
      collections: { rows: { table: "public.rows", hide: HIDDEN } },
    });
    try {
      await test.source.needPrior?.("rows", new Set(HIDDEN));
      for (const tenant of TENANTS) await test.watch(tenant, "rows");
      await fc.assert(
        fc.asyncProperty(history, viewers, async (transactions, asked) => {
          await database.query("delete from rows");
          await test.settle((sql, params) => database.query(sql, params));
          const begin = test.sink.events.length;
          for (const statements of transactions) await runInTransaction(database, statements);
          await test.settle((sql, params) => database.query(sql, params));
          const result = await database.query("select * from rows");
          const rows = result.rows as unknown as readonly Row[];
          const events = test.sink.events.slice(begin);
          for (const { tenant, wanted, granted } of asked) {
            const view = viewOf(events, { tenant, wanted, granted });
            const expected = rows.flatMap(({ secret, ...visible }) => {
              const isGranted = naiveMatch(granted, { ...visible, secret });
              const isSeen = visible.tenant_id === tenant && isGranted && naiveMatch(wanted, visible);
              return isSeen ? [[String(visible.id), visible] as const] : [];
            });
            expect(view).toEqual(new Map<string, JsonValue>(expected));
          }
        }),
        { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 25), endOnFailure: true },
      );
      expect(test.sink.resets).toEqual([]);
    } finally {
      await test.source.close();
      await database.drop();
    }
  }, 240_000);
}

function insertSql(values: typeof row extends fc.Arbitrary<infer T> ? T : never): string {
  const { id: key, tenant, body, n, secret } = values;
  return `insert into rows values (${[key, tenant, body, n, secret].map(literal).join(", ")}) on conflict do nothing`;
}

function literal(value: string | number | null): string {
  if (value === null) return "null";
  return typeof value === "number" ? String(value) : `'${value.replaceAll("'", "''")}'`;
}
