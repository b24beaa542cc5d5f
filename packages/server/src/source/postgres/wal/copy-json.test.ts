import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { documentJson } from "../../document-json.ts";
import { copyJson } from "./copy-json.ts";
import { JsonBytes } from "./json-bytes.ts";

const output = new JsonBytes();

/** Of a text that stands between others. */
function copied(text: string): string {
  const json = Buffer.from(text);
  const bytes = Buffer.concat([Buffer.from('1"\\'), json, Buffer.from('9"e')]);
  copyJson(output, bytes, 3, 3 + json.length);
  return output.take();
}

const NUMBERS = [
  "0",
  "-0",
  "12.50",
  "123456789012345",
  "9007199254740991",
  "9007199254740993",
  "-9223372036854775808",
  "0.1000000000000000055",
  "1e5",
  "1E5",
  "1e400",
  "1E400",
  "1e-400",
  "1.7976931348623157e+308",
];

/** JSON as a person, or PostgreSQL, may write it. */
const json = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("null", "true", "false", ...NUMBERS),
    fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
    fc
      .tuple(fc.array(tie("value"), { maxLength: 4 }), fc.constantFrom(",", ", ", " ,\n\t"))
      .map(([values, comma]) => `[${values.join(comma)}]`),
    fc
      .array(fc.tuple(fc.string(), tie("value"), fc.constantFrom(":", ": ", "\r\n : ")), { maxLength: 4 })
      .map(
        (members) =>
          `{${members.map(([name, value, colon]) => JSON.stringify(name) + colon + value).join(", ")}}`,
      ),
  ),
})).value;

describe("copyJson", () => {
  it.each(NUMBERS)("writes %s as it is written elsewhere", (number) => {
    expect(copied(number)).toBe(documentJson(number));
    expect(copied(`{"a": [${number}, ${number}]}`)).toBe(documentJson(`{"a": [${number}, ${number}]}`));
  });

  it("leaves strings alone, with their escapes", () => {
    const text = String.raw`{"9007199254740993 \" 1e400 \\":"\u0000 \ud800 é 🐘","b":" x "}`;
    expect(copied(text)).toBe(text);
  });

  it("writes what documentJson makes of it (property)", () => {
    fc.assert(
      fc.property(json, (text) => {
        expect(copied(text)).toBe(documentJson(text));
      }),
      { numRuns: 500 },
    );
  });
});
