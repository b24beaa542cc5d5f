import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrayJson } from "./array-text.ts";
import { UnexpectedTextError } from "./unexpected-text.ts";

const strings = (text: string, delimiter = ","): string =>
  arrayJson(text, delimiter, (element) => JSON.stringify(element));

/** As array_out() writes an element. */
function elementText(value: string | null, delimiter: string): string {
  if (value === null) return "NULL";
  const isBare = value !== "" && value.toUpperCase() !== "NULL" && !/["\\{}\s]/.test(value);
  return isBare && !value.includes(delimiter) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

describe("arrayJson", () => {
  it.each([
    ["{}", "[]"],
    ["{NULL}", "[null]"],
    ['{"NULL",null,Null}', '["NULL","null","Null"]'],
    ['{"",a,"b c"}', '["","a","b c"]'],
    ["{{1,2},{3,NULL}}", '[["1","2"],["3",null]]'],
    ["[0:1]={1,2}", '["1","2"]'],
    ["[-1:0][2:3]={{1,2},{3,4}}", '[["1","2"],["3","4"]]'],
    ['{"a\\"b","c\\\\d","{}","e,f"}', '["a\\"b","c\\\\d","{}","e,f"]'],
    ['{"\\\n"}', '["\\n"]'],
    ["{[1:2]={}", undefined],
  ])("reads %s", (text, expected) => {
    if (expected === undefined) expect(() => strings(text)).toThrow(UnexpectedTextError);
    else expect(strings(text)).toBe(expected);
  });

  it("takes another delimiter", () => {
    expect(strings("{(1,1),(0,0);(2,2),(0,0);NULL}", ";")).toBe('["(1,1),(0,0)","(2,2),(0,0)",null]');
  });

  it("reads what array_out writes (property)", () => {
    const element = fc.option(
      fc.string({
        unit: fc.constantFrom("a", '"', "\\", "{", "}", ",", ";", " ", "\n", "🐘", "N", "[", "="),
      }),
    );
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 3 })
          .chain((width) =>
            fc.array(fc.array(element, { minLength: width, maxLength: width }), { minLength: 1 }),
          ),
        fc.constantFrom(",", ";"),
        fc.boolean(),
        (rows, delimiter, shifted) => {
          const inner = rows.map(
            (row) => `{${row.map((value) => elementText(value, delimiter)).join(delimiter)}}`,
          );
          const text = `${shifted ? "[0:9][-3:4]=" : ""}{${inner.join(delimiter)}}`;
          expect(strings(text, delimiter)).toBe(JSON.stringify(rows));
        },
      ),
    );
  });

  it("answers or throws, whatever the text (property)", () => {
    const unit = fc.constantFrom("{", "}", ",", '"', "\\", "a", "[", "]", "=", ":", "1", "NULL");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (text) => {
        try {
          expect(Array.isArray(JSON.parse(strings(text)))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(UnexpectedTextError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("does not follow braces without end", () => {
    expect(() => strings("{".repeat(1_000_000))).toThrow(UnexpectedTextError);
  });
});
