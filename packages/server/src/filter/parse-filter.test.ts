import { RealtimeError } from "@paperdb/protocol";
import { describe, expect, it } from "vitest";
import { DEFAULT_FILTER_LIMITS } from "./filter-limits.ts";
import { parseFilter } from "./parse-filter.ts";

function refusal(input: unknown, limits = DEFAULT_FILTER_LIMITS): string {
  try {
    parseFilter(input, "where", limits);
  } catch (error) {
    if (error instanceof RealtimeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
}

describe("refuses, naming the place and the fix", () => {
  it.each<readonly [string, string]>([
    ["", "where is not JSON. Write an object"],
    ["{", "where is not JSON."],
    ["[]", "where is not an object. Write one such as"],
    ["null", "where is not an object."],
    ["5", "where is not an object."],
    ['"x"', "where is not an object."],
    ['{"$gte":3}', 'where.$gte stands without a field. Write {"priority":{"$gte":…}}.'],
    ['{"$not":{"a":1}}', "where.$not stands without a field."],
    ['{"$nor":[{"a":1}]}', "where.$nor is not an operator here. There are $and and $or, and in a field $eq"],
    ['{"$where":"1"}', "where.$where is not an operator here."],
    ['{"a":{"$regex":"x"}}', "where.a.$regex is not an operator here. There are $eq, $ne"],
    ['{"a":{"$elemMatch":{"b":1}}}', "where.a.$elemMatch is not an operator here."],
    ['{"a":{"$gt":1,"b":2}}', "where.a.b is a field between operators."],
    ['{"a":{"b":{"$gt":1}}}', "where.a.b.$gt is an operator inside a value that is compared as a whole."],
    ['{"a":{"$eq":{"$gt":1}}}', "where.a.$eq.$gt is an operator inside a value"],
    ['{"a":{"$and":[{"b":1}]}}', "where.a.$and stands inside a field."],
    ['{"$and":[]}', "where.$and takes a list of at least one filter"],
    ['{"$or":[]}', "where.$or takes a list of at least one filter"],
    ['{"$or":{"a":1}}', "where.$or takes a list"],
    ['{"$or":[{"a":1},2]}', "where.$or[1] is not an object."],
    ['{"$or":[{"a":1},{"b":{"$in":5}}]}', "where.$or[1].b.$in takes a list of values"],
    ['{"a":{"$in":{}}}', "where.a.$in takes a list of values"],
    ['{"a":{"$nin":null}}', "where.a.$nin takes a list of values"],
    ['{"priority":{"$gte":null}}', "where.priority.$gte takes a number or a string."],
    ['{"priority":{"$gte":[3]}}', "where.priority.$gte takes a number or a string."],
    ['{"priority":{"$lt":{}}}', "where.priority.$lt takes a number or a string."],
    ['{"priority":{"$lt":true}}', "where.priority.$lt takes a number or a string."],
    ['{"a":{"$exists":1}}', "where.a.$exists takes true or false."],
    ['{"a":{"$not":5}}', "where.a.$not takes operators"],
    ['{"a":{"$not":{}}}', "where.a.$not takes operators"],
    ['{"a":{"$not":{"b":1}}}', "where.a.$not takes operators"],
    ['{"a":{"$not":{"$gt":1,"b":1}}}', "where.a.$not.b is a field between operators."],
    ['{"a":1e400}', "where.a is not a number that JSON has."],
    ['{"a":9007199254740993}', "where.a is beyond ±9007199254740991"],
    ['{"a":{"$in":[1,-9007199254740993]}}', "where.a.$in[1] is beyond"],
    ['{"":1}', 'where[""] is a path with an empty name.'],
    ['{"a..b":1}', "where.a..b is a path with an empty name."],
    ['{"a.$gte":1}', "where.a.$gte has an operator in its path."],
    ['{"a b\\n":{"$x":1}}', 'where["a b\\n"].$x is not an operator'],
    ['{"__proto__":{"$x":1}}', "where.__proto__.$x is not an operator"],
    ['{"a":{"constructor":1,"$gt":1}}', "where.a.constructor is a field between operators."],
  ])("%s", (text, sentence) => {
    expect(refusal(text)).toContain(`invalid_filter: ${sentence}`);
  });

  it.each<readonly [string, unknown, string]>([
    ["undefined", undefined, "where is not an object."],
    ["a date", { a: new Date(0) }, "where.a is not a JSON value."],
    ["a map", new Map([["a", 1]]), "where is not an object."],
    ["undefined in it", { a: undefined }, "where.a is not a JSON value."],
    ["a function", { a: () => 1 }, "where.a is not a JSON value."],
    ["a bigint", { a: 1n }, "where.a is not a JSON value."],
    ["NaN", { a: Number.NaN }, "where.a is not a number that JSON has."],
    ["infinity", { a: { $lt: Number.POSITIVE_INFINITY } }, "where.a.$lt is not a number that JSON has."],
  ])("a value: %s", (_name, input, sentence) => {
    expect(refusal(input)).toContain(`invalid_filter: ${sentence}`);
  });

  it("does not repeat values", () => {
    expect(refusal('{"a":{"$in":"secret"}}')).not.toContain("secret");
    expect(refusal('{"password":"secret')).not.toContain("secret");
  });

  it("shortens names", () => {
    expect(refusal(`{"${"x".repeat(5000)}":{"$x":1}}`).length).toBeLessThan(400);
  });
});

describe("bounds", () => {
  const nested = (levels: number): string => '{"$and":['.repeat(levels) + '{"a":1}' + "]}".repeat(levels);
  const not = (levels: number): string => `{"a":${'{"$not":'.repeat(levels)}{"$gt":1}${"}".repeat(levels)}}`;
  const inside = (levels: number): string => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;

  it("takes 8 levels, and refuses more", () => {
    for (const filter of [nested, not, inside]) {
      expect(refusal(filter(7))).toBe("accepted");
      expect(refusal(filter(8))).toContain("filter_too_large: where");
      expect(refusal(filter(8))).toContain("nested more than 8 levels deep");
    }
    expect(refusal(`{"${Array.from({ length: 8 }, () => "a").join(".")}":1}`)).toBe("accepted");
    expect(refusal(`{"${Array.from({ length: 9 }, () => "a").join(".")}":1}`)).toContain("more than 8 names");
  });

  it("takes 100 conditions, and refuses more", () => {
    const list = (length: number): string =>
      JSON.stringify({ a: { $in: Array.from({ length }, (_, index) => index) } });
    const fields = (length: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length }, (_, index) => [`f${String(index)}`, index])));
    for (const filter of [list, fields]) {
      expect(refusal(filter(100))).toBe("accepted");
      expect(refusal(filter(101))).toContain("filter_too_large: where has more than 100 conditions");
    }
    expect(
      refusal(JSON.stringify({ a: { $in: Array.from({ length: 99 }, () => 1) }, b: 1, c: 1 })),
    ).toContain("filter_too_large");
  });

  it("takes 8 KiB, and refuses more, counted in bytes", () => {
    const text = (bytes: number): string => `{"a":"${"x".repeat(bytes - '{"a":""}'.length)}"}`;
    expect(refusal(text(8192))).toBe("accepted");
    expect(refusal(text(8193))).toContain("filter_too_large: where is larger than 8192 bytes.");
    expect(refusal(`{"a":"${"é".repeat(4096)}"}`)).toContain("filter_too_large");
    expect(refusal({ a: "x".repeat(8193) })).toContain("filter_too_large");
    expect(refusal({ a: "é".repeat(4097) })).toContain("filter_too_large");
    expect(refusal({ ["x".repeat(9000)]: 1 })).toContain("filter_too_large");
  });

  it("takes its own limits", () => {
    const limits = { maxBytes: 20, maxTerms: 2, maxDepth: 2 };
    expect(refusal('{"a":[1,2]}', limits)).toBe("accepted");
    expect(refusal('{"a":[[1]]}', limits)).toContain("more than 2 levels");
    expect(refusal('{"a":1,"b":2,"c":3}', limits)).toContain("more than 2 conditions");
    expect(refusal('{"a":"0123456789012345"}', limits)).toContain("larger than 20 bytes");
  });

  it("refuses what is huge, deep or endless without harm", () => {
    const endless: Record<string, unknown> = {};
    endless["a"] = endless;
    const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) as unknown;
    const values: readonly unknown[] = [
      endless,
      { a: deep },
      deep,
      Array.from({ length: 1_000_000 }, () => 1),
      "[".repeat(8000),
      "[".repeat(4000) + "]".repeat(4000),
      '{"a":'.repeat(1300) + "1" + "}".repeat(1300),
      '{"$and":['.repeat(700) + "{}" + "]}".repeat(700),
      "x".repeat(10_000_000),
      `{"a":"${"\\".repeat(7999)}"}`,
      `{"${".".repeat(8000)}":1}`,
    ];
    for (const value of values) expect(refusal(value)).toMatch(/^(filter_too_large|invalid_filter): where/);
  });

  it("follows the longest path through arrays in arrays in bounded time", () => {
    const filter = parseFilter({ "a.0.0.0.0.0.0.0": 1 }, "where");
    let document: unknown = 2;
    for (let level = 0; level < 30; level++) document = [{ 0: document }];
    expect(filter.matches({ a: document as never })).toBe(false);
  });
});

it("copies what it is given", () => {
  const values = [{ b: 1 }];
  const filter = parseFilter({ a: { $in: values } }, "where");
  (values[0] ?? { b: 0 }).b = 2;
  expect(filter.matches({ a: { b: 1 } })).toBe(true);
});
