import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hstorePairs } from "./hstore-text.ts";
import { UnexpectedTextError } from "./unexpected-text.ts";

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

describe("hstorePairs", () => {
  it("reads what hstore_out writes (property)", () => {
    const text = fc.string({ unit: fc.constantFrom("a", '"', "\\", "=", ">", ",", " ", "N", "🐘", "\n") });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, fc.option(text))), (pairs) => {
        const written = pairs.map(
          ([key, value]) => `${quoted(key)}=>${value === null ? "NULL" : quoted(value)}`,
        );
        expect(hstorePairs(written.join(", "))).toEqual(pairs);
      }),
    );
  });

  it.each(['"a"', '"a"=>', '"a"=>1', '"a"=>"1"x', '"a"=>"1', '"a"=>"1", ', 'a=>"1"', '"a\\'])(
    "refuses %s",
    (text) => {
      expect(() => hstorePairs(text)).toThrow(UnexpectedTextError);
    },
  );
});
