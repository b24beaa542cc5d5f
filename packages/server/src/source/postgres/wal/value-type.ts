/**
 * How the text that PostgreSQL writes of a value becomes JSON, and the same JSON as `row_to_json` would write
 * and `documentJson` would pass on.
 *
 * - `integer`: is a number as it stands; two and four bytes.
 * - `number`: a number where a double holds it exactly, else a string: int8, numeric and floats.
 * - `plain`: a string of characters that need no escape: dates.
 * - `timestamp`, `timestamptz`: ISO 8601 with `T`.
 * - `json`: the value.
 * - `vector`: integers between spaces: int2vector and oidvector.
 */
export type ValueType =
  | {
      readonly kind:
        | "integer"
        | "number"
        | "boolean"
        | "plain"
        | "string"
        | "timestamp"
        | "timestamptz"
        | "json"
        | "hstore";
    }
  | { readonly kind: "vector"; readonly element: ValueType }
  | { readonly kind: "array"; readonly element: ValueType; readonly delimiter: string }
  | { readonly kind: "composite"; readonly fields: readonly CompositeField[] }
  /** Only the database itself can say what JSON this is. */
  | { readonly kind: "unsupported"; readonly reason: string };

/** One attribute of a composite type. */
interface CompositeField {
  readonly name: string;
  readonly type: ValueType;
}

/**
 * What `value::text` is, compared with the text that the type writes: the same; `true` for `t`; without the blanks
 * at its end; with the length of its netmask; or what only the database can say.
 */
export type TextCast = "same" | "boolean" | "trimmed" | "netmask" | "unsupported";

/** What is to be known of a type. */
export interface TypePlan {
  readonly value: ValueType;
  readonly textCast: TextCast;
}
