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
const sql = (
  where: unknown,
  encoding = "UTF8",
  first = 1,
): readonly [string, readonly unknown[]] | undefined => {
  const condition = toSql(parseFilter(where, "where"), { columns, encoding }, first);
  return condition === undefined ? undefined : [condition.text, condition.parameters];
};

describe("toSql", () => {
  it.each<readonly [unknown, string, readonly unknown[]]>([
    [{ title: "a" }, "t.title = $1::text", ["a"]],
    [{ title: { $in: ["b", "a", 1] } }, "t.title = any($1::text[])", [["a", "b"]]],
    [{ title: { $in: ["a", null] } }, "(t.title is null or t.title = $1::text)", ["a"]],
    [{ title: { $gt: "a" } }, 't.title collate "C" > $1::text', ["a"]],
    [{ n: { $gt: 1.5 } }, "t.n > $1::int8", ["1"]],
    [{ n: { $lt: 1.5 } }, "t.n < $1::int8", ["2"]],
    [{ n: { $ne: 1 } }, "(t.n = $1::int8) is not true", ["1"]],
    [{ n: "1" }, "false", []],
    [{ flag: true, n: 1 }, "(t.flag = $1::bool and t.n = $2::int8)", ["true", "1"]],
    [{ "data.x": 1, n: 1 }, "t.n = $1::int8", ["1"]],
    [{ $or: [{ n: 1 }, { flag: { $ne: null } }] }, "((t.flag is null) is not true or t.n = $1::int8)", ["1"]],
    [
      { at: "2026-01-02T03:04:05.5+00:00" },
      "(t.at >= $1::timestamptz and t.at < $2::timestamptz)",
      ["2026-01-02T03:04:05+00", "2026-01-02T03:04:06+00"],
    ],
    [
      { day: { $lte: "2024-02-29T10:00:00" } },
      "(t.day < $1::date or t.day >= '10000-01-01'::date)",
      ["2024-03-01"],
    ],
  ])("%j", (where, text, parameters) => {
    expect(sql(where)).toEqual([text, parameters]);
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

  it("numbers its parameters from where it is told, and only those that it uses", () => {
    const where = { n: 1, $or: [{ title: "a" }, { "data.x": 1 }], day: "2026-01-02" };
    expect(sql(where, "UTF8", 4)).toEqual(["(t.day = $4::date and t.n = $5::int8)", ["2026-01-02", "1"]]);
  });

  it("compares only ASCII in databases of other encodings", () => {
    expect(sql({ title: "é" }, "LATIN1")).toBeUndefined();
    expect(sql({ title: { $lt: "é" } }, "EUC_JP")).toBeUndefined();
    expect(sql({ title: { $lt: "e" } }, "EUC_JP")).toEqual(['t.title collate "C" < $1::text', ["e"]]);
  });
});
