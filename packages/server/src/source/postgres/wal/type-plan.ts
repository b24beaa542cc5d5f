import type { CatalogType } from "./type-query.ts";
import type { TextCast, TypePlan, ValueType } from "./value-type.ts";

/** Built-in types have smaller oids. They never change, and casts of theirs to json are not looked at. */
export const FIRST_OWN_OID = 16_384;

const INT2_VECTOR = 22;
const OID_VECTOR = 30;
const XML = 142;

/** Types whose JSON is not the string of their text. */
const BUILT_IN: ReadonlyMap<number, ValueType> = new Map<number, ValueType>([
  [16, { kind: "boolean" }],
  [21, { kind: "integer" }], // int2
  [23, { kind: "integer" }], // int4
  [20, { kind: "number" }], // int8
  [700, { kind: "number" }], // float4
  [701, { kind: "number" }], // float8
  [1700, { kind: "number" }], // numeric
  [1082, { kind: "plain" }], // date
  [2950, { kind: "plain" }], // uuid
  [1114, { kind: "timestamp" }],
  [1184, { kind: "timestamptz" }],
  [114, { kind: "json" }],
  [3802, { kind: "json" }], // jsonb
]);

/** Functions of casts to text whose result is known from the text that the type writes. */
const TEXT_CASTS: ReadonlyMap<number, TextCast> = new Map<number, TextCast>([
  [16, "boolean"],
  [1042, "trimmed"], // char(n)
  [869, "netmask"], // inet
  [650, "netmask"], // cidr
  [XML, "unsupported"],
]);

/**
 * How the values of types become JSON.
 *
 * @param types - with all that they are made of.
 */
export function planTypes(types: readonly CatalogType[]): Map<number, TypePlan> {
  const byOid = new Map(types.map((type) => [type.oid, type]));
  const plans = new Map<number, TypePlan>();

  const plan = (oid: number): TypePlan => {
    const known = plans.get(oid);
    if (known !== undefined) return known;
    const type = byOid.get(oid);
    const made: TypePlan =
      type === undefined
        ? { value: unsupported("a part of its type does not exist any more"), textCast: "unsupported" }
        : type.kind === "d"
          ? plan(type.base)
          : { value: valueType(type, (part) => plan(part).value), textCast: textCast(type) };
    plans.set(oid, made);
    return made;
  };

  for (const { oid } of types) plan(oid);
  return plans;
}

function valueType(type: CatalogType, part: (oid: number) => ValueType): ValueType {
  const builtIn = BUILT_IN.get(type.oid);
  if (builtIn !== undefined) return builtIn;
  if (type.oid === INT2_VECTOR || type.oid === OID_VECTOR) {
    return { kind: "vector", element: part(type.element) };
  }
  if (type.element !== 0) return { kind: "array", element: part(type.element), delimiter: type.delimiter };
  if (type.kind === "c") {
    return {
      kind: "composite",
      fields: (type.fields ?? []).map(([name, oid]) => ({ name, type: part(oid) })),
    };
  }
  if (type.oid < FIRST_OWN_OID || type.json_cast === null) return { kind: "string" };
  // The name of a C function is all of its source.
  if (type.json_cast === "hstore_to_json") return { kind: "hstore" };
  return unsupported(`its type ${type.shown} has a cast to json of its own`);
}

function textCast(type: CatalogType): TextCast {
  const known = TEXT_CASTS.get(type.oid);
  if (known !== undefined) return known;
  return type.oid < FIRST_OWN_OID || type.text_cast === null ? "same" : "unsupported";
}

function unsupported(reason: string): ValueType {
  return { kind: "unsupported", reason };
}
