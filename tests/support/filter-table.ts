import fc from "fast-check";

/** A column of the table that filters are tried on: its type, and SQL of its values. */
export interface FilterColumn {
  readonly name: string;
  /** As SQL declares it. */
  readonly declaration: string;
  readonly samples: readonly string[];
}

const quoted = (...values: readonly string[]): readonly string[] =>
  values.map((value) => `'${value.replaceAll("'", "''")}'`);

/** Texts that collations order and equate otherwise than bytes do. */
const TEXTS = quoted(
  "",
  "a",
  "A",
  "b",
  "B",
  "é",
  "e\u0301",
  "\u00E9a",
  "ﬀ",
  "z",
  "Z",
  "\uFFFF",
  "😀",
  "a b",
  "a ",
  "10",
  "9",
  "open",
  "OPEN",
  "it's",
  "back\\slash",
  "\\' or true --",
);
const TIMES = quoted(
  "2026-01-02 03:04:05",
  "2026-01-02 03:04:05.1",
  "2026-01-02 03:04:05.12",
  "2026-01-02 03:04:05.123456",
  "2026-01-02 03:04:06",
  "2026-01-02 00:00:00",
  "2026-01-01 23:59:59.999999",
  "2026-12-31 23:59:59.999999",
  "1000-01-01 00:00:00",
  "0999-12-31 23:59:59",
  "0001-01-01 00:00:00",
  "9998-12-31 23:59:59",
  "9999-12-31 23:59:59.5",
  "10000-01-01 00:00:00",
  "30000-06-01 00:00:00",
  "0044-03-15 12:00:00 BC",
  "4000-03-15 12:00:00 BC",
  "infinity",
  "-infinity",
);

/** Columns of the types that conditions know, and of others. */
export const FILTER_COLUMNS: readonly FilterColumn[] = [
  { name: "txt", declaration: "text", samples: TEXTS },
  { name: "ignore_case", declaration: "text collate ignoring_case", samples: TEXTS },
  { name: "english", declaration: `varchar(20) collate "und-x-icu"`, samples: TEXTS },
  { name: "padded", declaration: "char(4)", samples: quoted("a", "a  ", "ab", "", "10") },
  { name: "small", declaration: "int2", samples: ["-32768", "0", "1", "2", "3", "32767"] },
  {
    name: "whole",
    declaration: "int4",
    samples: ["-2147483648", "-1", "0", "1", "2", "3", "2147483647"],
  },
  {
    name: "large",
    declaration: "int8",
    samples: [
      "0",
      "1",
      "2",
      "9007199254740991",
      "9007199254740992",
      "9007199254740993",
      "-9007199254740993",
      "9223372036854775807",
      "-9223372036854775808",
    ],
  },
  {
    name: "dec",
    declaration: "numeric",
    samples: [
      "0",
      "1.50",
      "1.5",
      "0.1",
      "0.1000000000000000055",
      "9007199254740993",
      "1e30",
      "1e-20",
      "-2",
      "2",
      "'NaN'",
      "'Infinity'",
      "'-Infinity'",
    ],
  },
  {
    name: "dbl",
    declaration: "float8",
    samples: [
      "0",
      "'-0'",
      "1.5",
      "0.1",
      "0.1::float8 + 0.2::float8",
      "1e300",
      "5e-324",
      "1e21",
      "1e20",
      "2",
      "'NaN'",
      "'Infinity'",
      "'-Infinity'",
      "5.684341886080802e-14",
    ],
  },
  { name: "single", declaration: "float4", samples: ["0.1", "1.5", "2", "16777217"] },
  { name: "flag", declaration: "bool", samples: ["true", "false"] },
  {
    name: "ident",
    declaration: "uuid",
    samples: quoted("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "00000000-0000-0000-0000-000000000000"),
  },
  { name: "mood", declaration: "mood", samples: quoted("open", "it's", "", "10") },
  { name: "day", declaration: "date", samples: TIMES },
  { name: "moment", declaration: "timestamp", samples: TIMES },
  {
    name: "instant",
    declaration: "timestamptz",
    samples: TIMES.map((value) => (value.includes("infinity") ? value : value.replace(/( BC)?'$/, "+00$1'"))),
  },
  { name: "clock", declaration: "time", samples: quoted("03:04:05", "24:00") },
  {
    name: "data",
    declaration: "jsonb",
    samples: quoted("null", "1", '"open"', '{"n":1}', "[1,null]", "[]"),
  },
  { name: "raw", declaration: "json", samples: quoted("null", ' {"n" : [1] }') },
  { name: "tags", declaration: "text[]", samples: quoted("{open,NULL}", "{}", "{{a,b}}") },
  {
    name: "pair",
    declaration: "pair",
    samples: ["row(1,'open')::pair", "row(null,null)::pair"],
  },
  { name: "amount", declaration: "positive_amount", samples: ["1", "1.5", "2"] },
  { name: "titled", declaration: "title", samples: quoted("open", "a", "it's") },
  { name: "feeling", declaration: "feeling", samples: quoted("open", "10") },
  { name: "shown", declaration: "shown", samples: quoted("one", "two", "open") },
  { name: "spoken", declaration: "spoken", samples: quoted("one", "open") },
  { name: "document", declaration: "document", samples: quoted("null", "1", '"open"') },
  { name: "cents", declaration: "numeric(10,2)", samples: ["0", "1.5", "1.55", "-2", "'NaN'"] },
  { name: "letter", declaration: '"char"', samples: quoted("a", "", "1") },
  { name: "ident_name", declaration: "name", samples: quoted("open", "a") },
  { name: "object", declaration: "oid", samples: ["0", "1", "4294967295"] },
  { name: "price", declaration: "money", samples: ["1.5", "-2"] },
  { name: "took", declaration: "interval", samples: quoted("1 day", "36:00", "-1 month") },
  { name: "zoned", declaration: "timetz", samples: quoted("03:04:05+00", "03:04:05.5+02") },
  { name: "address", declaration: "inet", samples: quoted("10.0.0.1", "10.0.0.0/8") },
  { name: "bytes", declaration: "bytea", samples: quoted("", "\\x00ff") },
  { name: "bits", declaration: "varbit", samples: quoted("1", "101") },
  { name: "days", declaration: "date[]", samples: quoted("{2026-01-02,infinity}", "{NULL}") },
  { name: `we"ird'`, declaration: "text", samples: quoted("open", "it's") },
  { name: "na.me", declaration: "text", samples: quoted("open") },
  { name: "constructor", declaration: "text", samples: quoted("open") },
];

/** SQL that makes the types of {@link FILTER_COLUMNS}. */
export const FILTER_TYPES: readonly string[] = [
  "create collation ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
  "create type mood as enum ('open', 'it''s', '', '10')",
  "create type pair as (n int, s text)",
  "create domain positive_amount as numeric check (value > 0)",
  "create domain short_title as varchar(20)",
  "create domain title as short_title check (value <> '')",
  "create domain feeling as mood",
  "create domain document as jsonb",
  // What is delivered of these is what their casts make of them.
  "create type shown as enum ('one', 'two', 'open')",
  "create function shown_json(shown) returns json language sql immutable as $$ select to_json(case $1 when 'one' then 'open' else 'one' end) $$",
  "create cast (shown as json) with function shown_json(shown)",
  "create type spoken as enum ('one', 'open')",
  "create function spoken_text(spoken) returns text language sql immutable as $$ select case $1 when 'one' then 'open' else 'one' end $$",
  "create cast (spoken as text) with function spoken_text(spoken)",
];

/** Strings and numbers near what a table holds: the beginnings of texts, other spellings, neighbours. */
export function nearby(delivered: readonly (string | number)[]): fc.Arbitrary<string | number> {
  const one = fc.constantFrom(...delivered);
  return fc.oneof(
    { arbitrary: one, weight: 4 },
    {
      arbitrary: fc
        .tuple(
          one,
          fc.nat(30),
          fc.constantFrom("", "0", "Z", " ", "~", "\0", "\uD83D", "+00:00", " BC", ".5"),
        )
        .map(([value, length, suffix]) =>
          typeof value === "string" ? value.slice(0, length) + suffix : value + length / 4 - 3,
        ),
      weight: 3,
    },
    {
      arbitrary: fc.constantFrom<(string | number)[]>(
        "2026-02-31",
        "2026-01-02T25:00:00",
        "2026-01-02T03:04:60",
        "2026-13-01",
        "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
        "NaN",
        "Infinity",
        "9223372036854775808",
        "99999999999999999999",
        "2",
        "-0",
        "1e30",
        1e30,
        1e300,
        5e-324,
        2.5,
        -2.5,
        32768,
        4294967296,
        "closed",
        "2026",
        "9999-12-31",
        "10000-01-01",
        "0500-01-01",
      ),
      weight: 2,
    },
  );
}
