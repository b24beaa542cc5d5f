import type { Dice } from "./dice.ts";
import type { CollectionPlan, ColumnPlan, KeyKind, SourceKind } from "./plan.ts";

type Column = Omit<ColumnPlan, "hidden">;

/** In every collection: few values, so that filters on them divide the documents. */
const COMMON: readonly Column[] = [
  { name: "room", type: "text", values: ["a", "b", "c", "é", null] },
  { name: "priority", type: "int", values: [0, 1, 2, 3, 4, 5, null] },
];
/** In every collection, and shown to nobody. */
const HIDDEN: readonly Column[] = [
  { name: "secret", type: "int", values: [0, 1, 2, 3] },
  { name: "owner", type: "text", values: ["ada", "bob", "cy", null] },
];
const MOMENTS = [
  "2026-01-02T03:04:05.123456+00:00",
  "2026-01-02T03:04:05+00:00",
  "1999-12-31T23:59:59.5+00:00",
];
const DOCUMENTS = [
  { n: 1, tags: ["x", "y"] },
  { n: 2, deep: { "0": null } },
  [1, null, { n: 3 }],
  "open",
  7,
  true,
];

const POSTGRES_COLUMNS: readonly Column[] = [
  {
    name: "big",
    type: "int8",
    values: ["0", "1", "9007199254740991", "9007199254740993", "-9007199254740993"],
  },
  {
    name: "amount",
    type: "numeric",
    values: ["1.50", "0.1", "-2", "1e30", "NaN", "0.1000000000000000055", null],
  },
  { name: "score", type: "float8", values: ["1.5", "0.1", "1e300", "NaN", "Infinity", "-2", null] },
  { name: "done", type: "bool", values: [true, false, null] },
  { name: "ident", type: "uuid", values: ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", null] },
  { name: "due", type: "timestamptz", values: [...MOMENTS, null] },
  { name: "day", type: "date", values: ["2026-01-02", "2026-12-31", "infinity", null] },
  { name: "meta", type: "jsonb", values: [...DOCUMENTS, null] },
  { name: "labels", type: "text[]", values: [["new", "hot"], [], ["a", null], null] },
  { name: "raw", type: "bytea", values: ["\\xdeadbeef", "\\x", null] },
];

const MONGO_COLUMNS: readonly Column[] = [
  { name: "big", type: "long", values: ["0", "1", "9007199254740991", "9007199254740993"] },
  { name: "amount", type: "decimal", values: ["1.50", "0.1", "-2", "0.1000000000000000055", null] },
  { name: "score", type: "double", values: [1.5, 0.1, 1e300, -2, null] },
  { name: "done", type: "bool", values: [true, false, null] },
  { name: "ref", type: "objectId", values: ["65a1b2c3d4e5f60718293a4b", null] },
  { name: "due", type: "date", values: ["2026-01-02T03:04:05.678Z", "1999-12-31T23:59:59.000Z", null] },
  { name: "meta", type: "json", values: [...DOCUMENTS, null] },
  { name: "labels", type: "json", values: [["new", "hot"], [], ["a", null], null] },
];

const NAMES = ["notes", "orders", "files"];
const KEY_KINDS: readonly KeyKind[] = ["number", "number", "text", "composite"];

/** Tables, or collections of MongoDB, of columns of several types, some of them hidden. */
export function planCollections(dice: Dice, source: SourceKind, work: number): readonly CollectionPlan[] {
  const isMongo = source === "mongodb";
  // The server finds them by itself, those too that are made later; then nothing can be hidden.
  const isDiscovered = dice.chance(0.3);
  const tenantColumns = isMongo ? ["tenantId", "org"] : ["tenant_id", "org"];
  return NAMES.slice(0, dice.int(2, NAMES.length)).map((name, index) => {
    const pool = isMongo ? MONGO_COLUMNS : POSTGRES_COLUMNS;
    const shown = [...COMMON, ...dice.some(pool, dice.int(3, 6))];
    const columns = [
      ...shown.map((column) => ({ ...column, hidden: false })),
      ...HIDDEN.map((column) => ({ ...column, hidden: !isDiscovered })),
    ];
    const keyKind = dice.pick(KEY_KINDS);
    return {
      name,
      keyKind,
      tenantColumn: isDiscovered ? (tenantColumns[0] ?? "") : dice.pick(tenantColumns),
      columns,
      isBodyExternal: dice.chance(0.5),
      isPartitioned: !isMongo && keyKind === "composite" && dice.chance(0.5),
      madeAt: isDiscovered && index === 1 ? dice.int(1, Math.floor(work / 3)) : 0,
    };
  });
}
