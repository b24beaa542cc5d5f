import { describe, expect, it } from "vitest";
import type { CatalogTable } from "./catalog-query.ts";
import { columnsOfInterest, toCollections } from "./collections.ts";

let nextOid = 1;

function table(schema: string, name: string, more: Partial<CatalogTable> = {}): CatalogTable {
  return {
    oid: nextOid++,
    schema,
    name,
    columns: { tenant_id: "2 25 -1" },
    primary_key: [["id", 23]],
    virtual_columns: null,
    partitions: null,
    triggers: null,
    ...more,
  };
}

describe("toCollections", () => {
  it("names tables of public by their name, others with their schema", () => {
    const { tables } = toCollections([table("public", "todos"), table("app", "todos")], undefined);
    expect([...tables.keys()]).toEqual(["todos", "app.todos"]);
  });

  it("uses neither of two tables that would have one name", () => {
    const { tables, unusable } = toCollections(
      [table("public", "a.b"), table("a", "b"), table("public", "a.b")],
      undefined,
    );
    expect(tables.size).toBe(0);
    expect(unusable.get("a.b")).toMatch(/Two tables are named "a\.b"/);
  });

  it("does not take what every object has for a column", () => {
    const config = { c: { table: "todos", tenantColumn: "constructor" } };
    const { tables, unusable } = toCollections([table("public", "todos")], config);
    expect(tables.size).toBe(0);
    expect(unusable.get("c")).toMatch(/has no constructor column/);
  });

  it("hides what is configured and what is virtual", () => {
    const todos = table("public", "todos", {
      columns: { tenant_id: "2 25 -1", secret: "3 25 -1" },
      virtual_columns: ["doubled"],
    });
    const { tables } = toCollections([todos], { c: { table: "todos", hide: ["secret"] } });
    expect([...(tables.get("c")?.hidden ?? [])]).toEqual(["secret", "doubled"]);
  });

  it("gives another shape to another table, tenant column or key", () => {
    const base = table("public", "t");
    const others: readonly Partial<CatalogTable>[] = [
      { oid: base.oid + 1_000 },
      { name: "u" },
      { columns: { tenant_id: "2 1043 -1" } },
      { primary_key: [["id", 20]] },
      {
        primary_key: [
          ["id", 23],
          ["n", 23],
        ],
      },
    ];
    const shape = (entry: CatalogTable): string | undefined =>
      [...toCollections([entry], undefined).tables.values()][0]?.shape;
    const shapes = [base, ...others.map((other) => ({ ...base, ...other }))].map(shape);
    expect(new Set(shapes).size).toBe(others.length + 1);
    expect(shape({ ...base, partitions: [[1, "1"]], triggers: [] })).toBe(shape(base));
  });
});

describe("columnsOfInterest", () => {
  it("is what the configuration names, each once", () => {
    expect(columnsOfInterest(undefined)).toEqual(["tenant_id"]);
    const config = { a: { table: "a", tenantColumn: "org", hide: ["x"] }, b: { table: "b", hide: ["x"] } };
    expect(columnsOfInterest(config)).toEqual(["org", "x", "tenant_id"]);
  });
});
