import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UNCHANGED, walMessages } from "../../../../../../tests/support/wal-messages.ts";
import type { SentValue } from "../../../../../../tests/support/wal-messages.ts";
import { PgoutputParser } from "./pgoutput.ts";
import type { Relation } from "./relation.ts";
import { IncompleteRowError } from "./incomplete-row-error.ts";
import { RowEncoder } from "./row-encoder.ts";
import type { RowRules } from "./encodable.ts";
import type { Tuple } from "./tuple.ts";
import { TypeCatalog } from "./type-catalog.ts";
import type { CatalogType } from "./type-query.ts";

const TEXT = 25;
const PAIR = 16_385;
const OWN = 16_386;

const BASE: Omit<CatalogType, "oid"> = {
  kind: "b",
  shown: "own",
  base: 0,
  element: 0,
  delimiter: ",",
  fields: null,
  json_cast: null,
  text_cast: null,
};
const ATTRIBUTES: (readonly [string, number])[] = [
  ["a", TEXT],
  ["b", TEXT],
];
const CATALOG: readonly CatalogType[] = [
  { ...BASE, oid: TEXT },
  { ...BASE, oid: PAIR, kind: "c", fields: ATTRIBUTES },
  { ...BASE, oid: OWN, json_cast: "own_to_json", text_cast: "own_to_text" },
];

async function typesOf(oids: readonly number[]): Promise<TypeCatalog> {
  const rows = CATALOG.filter(({ oid }) => oids.includes(oid) || oid === TEXT);
  // The only query is for types; the integration tests run it.
  const pool = { query: () => Promise.resolve({ rows }) };
  const types = new TypeCatalog({ pool: pool as never });
  await types.load(oids.map((typeOid) => ({ typeOid })));
  return types;
}

const RULES: RowRules = { tenantColumn: "tenant_id", primaryKey: ["id"], hidden: new Set() };
const COLUMNS: readonly (readonly [string, number])[] = [
  ["id", TEXT],
  ["tenant_id", TEXT],
  ["body", TEXT],
];

interface Opened {
  readonly encoder: RowEncoder;
  /** An update of which the row before was sent. */
  readonly parse: (
    old: readonly SentValue[],
    row: readonly SentValue[],
    kind?: string,
  ) => { readonly row: Tuple; readonly old: Tuple };
  readonly update: (
    old: readonly SentValue[] | undefined,
    row: readonly SentValue[],
    kind?: string,
  ) => { tenant: string | null; id: string; document: string };
}

async function open(columns = COLUMNS, rules: Partial<RowRules> = {}): Promise<Opened> {
  const parser = new PgoutputParser();
  const described = parser.parse(walMessages.relation(1, "todos", columns));
  if (described.kind !== "relation") throw new Error("That was no description.");
  const { relation }: { relation: Relation } = described;
  const types = await typesOf(columns.map(([, oid]) => oid));
  const encoder = new RowEncoder(relation, { ...RULES, ...rules }, types);
  return {
    encoder,
    parse(old, row, kind) {
      const message = parser.parse(walMessages.update(1, old, row, kind));
      if (message.kind !== "update" || message.old === undefined) throw new Error("That was no update.");
      return { row: message.row, old: message.old };
    },
    update(old, row, kind) {
      const message = parser.parse(walMessages.update(1, old, row, kind));
      if (message.kind !== "update") throw new Error("That was no update.");
      return {
        tenant: encoder.tenant(message.row, message.old),
        id: encoder.documentId(message.row, message.old),
        document: encoder.document(message.row, message.old),
      };
    },
  };
}

/** PostgreSQL has no such texts. */
function withoutNul(value: SentValue): SentValue {
  return typeof value === "string" ? value.replaceAll("\0", "") : value;
}

describe("RowEncoder", () => {
  it("takes values that did not change from the row before, wherever they are", async () => {
    const { update } = await open();
    expect(update(["1", "a", "long"], [UNCHANGED, UNCHANGED, UNCHANGED])).toEqual({
      tenant: "a",
      id: "1",
      document: '{"id":"1","tenant_id":"a","body":"long"}',
    });
    expect(update(["1", null, null], ["2", UNCHANGED, UNCHANGED])).toEqual({
      tenant: null,
      id: "2",
      document: '{"id":"2","tenant_id":null,"body":null}',
    });
  });

  it.each<[name: string, old: SentValue[] | undefined, row: SentValue[], kind: string]>([
    ["without the row before", undefined, ["1", "a", UNCHANGED], "O"],
    ["with its identity only", ["1", null, null], ["1", "a", UNCHANGED], "K"],
    ["with a row before that lacks it too", ["1", "a", UNCHANGED], ["1", "a", UNCHANGED], "O"],
  ])("refuses to make a document %s", async (_name, old, row, kind) => {
    const { update } = await open();
    expect(() => update(old, row, kind)).toThrow(IncompleteRowError);
    // What was written of it is not in the next one.
    expect(update(undefined, ["2", "b", "c"]).document).toBe('{"id":"2","tenant_id":"b","body":"c"}');
  });

  it("refuses to make anything of an identity", async () => {
    const { encoder } = await open();
    const parser = new PgoutputParser();
    parser.parse(walMessages.relation(1, "todos", COLUMNS));
    const message = parser.parse(walMessages.delete(1, ["1", null, null], "K"));
    if (message.kind !== "delete") throw new Error("That was no delete.");
    expect(() => encoder.tenant(message.old)).toThrow(IncompleteRowError);
    expect(() => encoder.documentId(message.old)).toThrow(IncompleteRowError);
    expect(() => encoder.document(message.old)).toThrow(IncompleteRowError);
  });

  it("refuses a key that is NULL", async () => {
    const { update } = await open();
    expect(() => update(undefined, [null, "a", "b"])).toThrow(IncompleteRowError);
    const composite = await open(COLUMNS, { primaryKey: ["body", "id"] });
    expect(composite.update(undefined, ['"', "a", "b"]).id).toBe('["b","\\""]');
    expect(() => composite.update(undefined, [null, "a", "b"])).toThrow(IncompleteRowError);
  });

  it("refuses a composite value of another shape than its type has", async () => {
    const { update } = await open([...COLUMNS, ["pair", PAIR]]);
    expect(update(undefined, ["1", "a", "b", "(x,)"]).document).toContain('"pair":{"a":"x","b":null}');
    expect(() => update(undefined, ["1", "a", "b", "(x,,)"])).toThrow(IncompleteRowError);
    expect(() => update(undefined, ["1", "a", "b", "x"])).toThrow(IncompleteRowError);
  });

  it("hides columns, all of them too", async () => {
    const some = await open(COLUMNS, { hidden: new Set(["id", "body"]) });
    expect(some.update(["1", "a", "b"], ["2", "a", UNCHANGED])).toEqual({
      tenant: "a",
      id: "2",
      document: '{"tenant_id":"a"}',
    });
    const all = await open(COLUMNS, { hidden: new Set(COLUMNS.map(([name]) => name)) });
    expect(all.update(undefined, ["1", "a", "b"]).document).toBe("{}");
  });

  it("tells the prior document of an update as it would have been delivered (property)", async () => {
    const columns = [...COLUMNS, ["title", TEXT], ["note", TEXT], ["extra", TEXT], ["pair", PAIR]] as const;
    const { encoder, parse } = await open(columns);
    const value = fc.oneof(
      fc.constantFrom(null, "", '"\\\n', "x".repeat(60), `${"x".repeat(59)}y`, "é🐘", "0"),
      fc.string({ unit: "grapheme", maxLength: 8 }),
    );
    const texts = fc.array(fc.tuple(value, fc.oneof(fc.constant(UNCHANGED), value)), {
      minLength: 4,
      maxLength: 4,
    });
    const pairs = fc.tuple(fc.constantFrom(null, "(a,b)"), fc.constantFrom(null, "(,é)", "(a,b)", UNCHANGED));
    fc.assert(
      fc.property(texts, pairs, (values, pair) => {
        const all = [...values, pair];
        const old = ["1", "a", ...all.map(([before]) => before)].map(withoutNul);
        const row = ["1", "a", ...all.map(([, after]) => after)].map(withoutNul);
        const message = parse(old, row);
        const documents = encoder.documents(message.row, message.old);
        expect(documents).toEqual({
          document: encoder.document(message.row, message.old),
          prior: encoder.document(message.old),
        });
        expect(JSON.parse(documents.prior)).toMatchObject({ id: "1", title: old[3], note: old[4] });
      }),
      { numRuns: 500 },
    );
  });

  it("makes no prior document of a row that is not whole", async () => {
    const { encoder, parse } = await open();
    for (const [old, kind] of [
      [["1", null, null], "K"],
      [["1", "a", UNCHANGED], "O"],
    ] as const) {
      const message = parse(old, ["1", "a", "b"], kind);
      expect(() => encoder.documents(message.row, message.old)).toThrow(IncompleteRowError);
    }
    const whole = parse(["1", "a", "b"], ["1", "a", "c"]);
    expect(encoder.documents(whole.row, whole.old).prior).toBe('{"id":"1","tenant_id":"a","body":"b"}');
  });

  it("tells hidden columns apart, and only those whose JSON is known", async () => {
    const columns = [...COLUMNS, ["own", OWN]] as const;
    const { encoder, parse } = await open(columns, { hidden: new Set(["tenant_id", "body", "own"]) });
    const { row, old } = parse(["1", "a", "long", "x"], ["1", "a", UNCHANGED, "y"]);
    expect(encoder.hidden(row, old)).toBe('{"tenant_id":"a","body":"long"}');
    expect(encoder.documents(row, old)).toEqual({ document: '{"id":"1"}', prior: '{"id":"1"}' });
    expect((await open()).encoder.hidden(row, old)).toBeUndefined();
    const own = await open(columns, { hidden: new Set(["own"]) });
    expect(own.encoder.hidden(row, old)).toBeUndefined();
  });

  it.each([
    ["own", "its JSON is not known"],
    ["gone", "it is not in the stream"],
  ])("says that filters cannot use the hidden column %s: %s", async (column) => {
    const columns = [...COLUMNS, ["own", OWN]] as const;
    const rules = { hidden: new Set(["own", "gone", "body"]), unsentColumns: ["gone"] };
    await expect(open(columns, { ...rules, filtered: new Set(["body"]) })).resolves.toBeDefined();
    await expect(open(columns, { ...rules, filtered: new Set(["body", column]) })).rejects.toThrow(
      `The hidden column "${column}" of the table "public.todos" cannot be used by filters`,
    );
  });

  it("shows no row that does not have a hidden column, which may have another name now", async () => {
    const hidden = new Set(["body", "secret"]);
    await expect(open(COLUMNS, { hidden })).rejects.toThrow(
      'The table "public.todos" has no secret column to hide any more',
    );
    await expect(open(COLUMNS, { hidden, virtualColumns: ["secret"] })).resolves.toBeDefined();
    await expect(open(COLUMNS, { hidden, unsentColumns: ["secret"] })).resolves.toBeDefined();
  });

  it("says which column cannot be delivered, unless it is hidden", async () => {
    const own = [...COLUMNS, ["own", OWN]] as const;
    await expect(open(own)).rejects.toThrow(
      'The column "own" of the table "public.todos" cannot be delivered in wal mode: its type own has a cast to json of its own.',
    );
    await expect(open(own, { hidden: new Set(["own"]) })).resolves.toBeDefined();
    await expect(open(own, { hidden: new Set(["own"]), tenantColumn: "own" })).rejects.toThrow(
      'The column "own" of the table "public.todos" cannot be a tenant or a key',
    );
    const composite = { hidden: new Set(["own"]), primaryKey: ["id", "own"] };
    await expect(open(own, composite)).rejects.toThrow(
      'The column "own" of the table "public.todos" cannot be',
    );
    await expect(open([...COLUMNS, ["gone", 99_999]])).rejects.toThrow("its type does not exist any more");
    await expect(open(COLUMNS, { primaryKey: ["id", "other"] })).rejects.toThrow(
      'does not have the column "other"',
    );
  });
});
