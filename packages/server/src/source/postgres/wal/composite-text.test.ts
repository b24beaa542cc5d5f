import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compositeValues } from "./composite-text.ts";
import { UnexpectedTextError } from "./unexpected-text.ts";

/** As record_out() writes a value. */
function valueText(value: string | null): string {
  if (value === null) return "";
  return value === "" || /["\\(),\s]/.test(value) ? `"${value.replaceAll(/["\\]/g, "$&$&")}"` : value;
}

const value = fc.option(
  fc.string({ unit: fc.constantFrom("a", '"', "\\", "(", ")", ",", " ", "\n", "🐘", "NULL") }),
);

describe("compositeValues", () => {
  it.each<[text: string, values: (string | null)[]]>([
    ["()", []],
    ["()", [null]],
    ['("")', [""]],
    ["(,)", [null, null]],
    ['(1,"a ""b"" \\\\c",,"")', ["1", 'a "b" \\c', null, ""]],
    ['("(1,""(2,\\"""")"")",NULL)', ['(1,"(2,\\"")")', "NULL"]],
  ])("reads %s", (text, values) => {
    expect(compositeValues(text, values.length)).toEqual(values);
  });

  it.each([
    ["", 0],
    ["(", 0],
    ["(", 1],
    ["1)", 1],
    ["(1", 1],
    ['("1)', 1],
    ["(1,2)", 1],
    ["(1)", 2],
    ["(1)x", 1],
    ['("1"x)', 1],
    ["(1)", 0],
  ])("refuses %j for %i values", (text, count) => {
    expect(() => compositeValues(text, count)).toThrow(UnexpectedTextError);
  });

  it("reads what record_out writes (property)", () => {
    fc.assert(
      fc.property(fc.array(value), (values) => {
        const text = `(${values.map(valueText).join()})`;
        expect(compositeValues(text, values.length)).toEqual(values);
      }),
    );
  });

  it("refuses another number of values (property)", () => {
    fc.assert(
      fc.property(fc.array(value), fc.nat(5), (values, count) => {
        // One NULL and no value at all have the same text.
        fc.pre(count !== values.length && !(values.length + count === 1 && (values[0] ?? null) === null));
        const text = `(${values.map(valueText).join()})`;
        expect(() => compositeValues(text, count)).toThrow(UnexpectedTextError);
      }),
    );
  });
});
