import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { documentJson } from "./document-json.ts";

describe("documentJson", () => {
  it.each([
    ["9007199254740991", "9007199254740991"],
    ["-9007199254740991", "-9007199254740991"],
    ["9007199254740992", '"9007199254740992"'],
    ["-9223372036854775808", '"-9223372036854775808"'],
    ["12.50", "12.50"],
    ["0.1", "0.1"],
    ["0.1000000000000000055", '"0.1000000000000000055"'],
    ["3.14159265358979323846", '"3.14159265358979323846"'],
    ["1.7976931348623157e+308", "1.7976931348623157e+308"],
    ["1e+20", "1e+20"],
    ["1E5", "1E5"],
    ["1e400", '"1e400"'],
    ["1e-400", '"1e-400"'],
    ["-0", "-0"],
    ["0e99", "0e99"],
    ["0.00000000000000000000", "0.00000000000000000000"],
    ["10000000000000000.00", "10000000000000000.00"],
    ["123456789012345678.5", '"123456789012345678.5"'],
    ["0.30000000000000004", "0.30000000000000004"],
    ["1.0000000000000001", '"1.0000000000000001"'],
  ])("keeps %s exact: %s, at any depth", (token, expected) => {
    expect(documentJson(token)).toBe(expected);
    expect(documentJson(`{"a":[{"b":${token}},${token}],"c":${token}}`)).toBe(
      `{"a":[{"b":${expected}},${expected}],"c":${expected}}`,
    );
  });

  it("does not touch what only looks like a number or whitespace inside strings", () => {
    const text = '{"9007199254740993":"9007199254740993 \\" 9007199254740993 \\\\","b":" x "}';
    expect(documentJson(text)).toBe(text);
  });

  it("keeps escapes, also of U+0000", () => {
    const text = String.raw`{"a":"\u0000\n\\","b\\\"":"\ud800"}`;
    expect(documentJson(text)).toBe(text);
  });

  it("takes whitespace away, so that it is one line", () => {
    expect(documentJson('{"a":{\r\n\t"b" : [ 1 ,\n2 ] } }\n')).toBe('{"a":{"b":[1,2]}}');
  });

  it("handles a number of 100,000 zeros in linear time", () => {
    const token = `0.${"0".repeat(100_000)}1`;
    expect(documentJson(token)).toBe(`"${token}"`);
  });

  it.each([
    ['{"a":1,"b":2,"c":3}', ["a"], '{"b":2,"c":3}'],
    ['{"a":1,"b":{"a":[1,"}"]},"c":3}', ["b"], '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":"x\\"}"}', ["c"], '{"a":1,"b":2}'],
    ['{"a":1,"b":2,"c":3}', ["a", "b", "c"], "{}"],
    ['{"a":1,"b":2,"c":3}', ["b", "c"], '{"a":1}'],
    ['{"a\\"":1,"b":{"b":2}}', ['a"'], '{"b":{"b":2}}'],
    ['{"a":"b","b":"a"}', ["b"], '{"a":"b"}'],
    ['{"a":[{"b":1},"b"],"b":9007199254740993}', ["b"], '{"a":[{"b":1},"b"]}'],
  ])("hides members of %s: %j", (text, hidden, expected) => {
    expect(documentJson(text, new Set(hidden))).toBe(expected);
  });

  it("changes no value that a double holds (property)", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 3 }), (value, indent) => {
        const exact = documentJson(JSON.stringify(value, stringifyUnsafe, indent));
        expect(exact).toBe(JSON.stringify(JSON.parse(exact)));
        expect(exact).toBe(JSON.stringify(value, stringifyUnsafe));
      }),
      { numRuns: 500 },
    );
  });

  it("hides exactly the named members (property)", () => {
    const name = fc.constantFrom<string[]>("a", "b", 'c"', "d\\", "é\n");
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.jsonValue({ maxDepth: 3 })),
        fc.uniqueArray(name),
        fc.integer({ min: 0, max: 2 }),
        (row, hidden, indent) => {
          const shown = Object.fromEntries(Object.entries(row).filter(([key]) => !hidden.includes(key)));
          const text = JSON.stringify(row, stringifyUnsafe, indent);
          expect(documentJson(text, new Set(hidden))).toBe(JSON.stringify(shown, stringifyUnsafe));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("never lets an integer lose a digit (property)", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (integer) => {
        expect(String(JSON.parse(documentJson(String(integer))))).toBe(String(integer));
      }),
    );
  });
});

/** Integers beyond 2^53 that JSON.stringify writes without an exponent are written as strings by our rule. */
function stringifyUnsafe(_key: string, value: unknown): unknown {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  return /e/.test(String(value)) ? value : String(value);
}
