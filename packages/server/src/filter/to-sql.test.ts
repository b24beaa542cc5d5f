import { describe, expect, it } from "vitest";
import { parseFilter } from "./parse-filter.ts";
import { toSql } from "./to-sql.ts";

const columns = new Map(
  Object.entries({
    title: "text",
    n: "int4",
    flag: "bool",
    at: "timestamptz",
    data: "jsonb",
    day: "date",
  }).map(([name, type]) => [name, { reference: `t.${name}`, type }]),
);
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const sql = (where: unknown, encoding = "UTF8"): string | undefined =>
  toSql(parseFilter(where, "where"), { columns, encoding }, quoted);

describe("toSql", () => {
  it.each<readonly [unknown, string]>([
    [{ title: "a" }, "t.title = 'a'::text"],
    [{ title: { $in: ["b", "a", 1] } }, "t.title = any(array['a','b']::text[])"],
    [{ title: { $in: ["a", null] } }, "(t.title is null or t.title = 'a'::text)"],
    [{ title: "it's' or true --" }, "t.title = 'it''s'' or true --'::text"],
    [{ title: { $gt: "a" } }, `t.title collate "C" > 'a'::text`],
    [{ n: { $gt: 1.5 } }, "t.n > '1'::int8"],
    [{ n: { $lt: 1.5 } }, "t.n < '2'::int8"],
    [{ n: { $ne: 1 } }, "(t.n = '1'::int8) is not true"],
    [{ n: "1" }, "false"],
    [{ title: { $in: [] } }, "false"],
    [{ flag: true, n: 1 }, "(t.flag = 'true'::bool and t.n = '1'::int8)"],
    [{ "data.x": 1, n: 1 }, "t.n = '1'::int8"],
    [{ $or: [{ n: 1 }, { flag: { $ne: null } }] }, "((t.flag is null) is not true or t.n = '1'::int8)"],
    [
      { at: "2026-01-02T03:04:05.5+00:00" },
      "(t.at >= '2026-01-02T03:04:05+00'::timestamptz and t.at < '2026-01-02T03:04:06+00'::timestamptz)",
    ],
    [
      { day: { $lte: "2024-02-29T10:00:00" } },
      "(t.day < '2024-03-01'::date or t.day >= '10000-01-01'::date)",
    ],
    [
      { n: 1, $or: [{ title: "a" }, { "data.x": 1 }], day: "2026-01-02" },
      "(t.day = '2026-01-02'::date and t.n = '1'::int8)",
    ],
  ])("%j", (where, text) => {
    expect(sql(where)).toBe(text);
  });

  it.each<readonly [string, unknown]>([
    ["everything", {}],
    ["a column that it may not know", { secret: null }],
    ["what lies in JSON", { data: null }],
    ["a path", { "data.a": 1 }],
    ["an alternative that cannot be asked for", { $or: [{ n: 1 }, { "data.a": 1 }] }],
    ["what is not equal by a collation's rules", { title: { $ne: "a" } }],
    ["the opposite of what is not found exactly", { at: { $not: { $gt: "2026-01-02" } } }],
    ["a text that the database cannot have", { title: { $in: ["a\0", "b"] } }],
    ["half a character", { title: { $gt: "\uD83D" } }],
    ["a day that there is not", { day: { $gt: "2026-02-29" } }],
    ["a time of another form", { at: "2026-01-02T03:04:05Z" }],
    ["a column that exists always", { n: { $exists: true } }],
  ])("asks for nothing less than %s", (_name, where) => {
    expect(sql(where)).toBeUndefined();
  });

  it("compares only ASCII in databases of other encodings", () => {
    expect(sql({ title: "é" }, "LATIN1")).toBeUndefined();
    expect(sql({ title: { $lt: "é" } }, "EUC_JP")).toBeUndefined();
    expect(sql({ title: { $lt: "e" } }, "EUC_JP")).toBe(`t.title collate "C" < 'e'::text`);
  });
});
