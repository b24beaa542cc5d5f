import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonBytes } from "./json-bytes.ts";
import { valueJson } from "./value-json.ts";

const output = new JsonBytes();

/** Writes one value that stands between others. */
function write(kind: "string" | "number" | "timestamp", text: string): string {
  const value = Buffer.from(text);
  const bytes = Buffer.concat([Buffer.from(" +x"), value, Buffer.from(" +e")]);
  output[kind](bytes, 3, 3 + value.length);
  return output.take();
}

describe("JsonBytes", () => {
  it("escapes every character as JSON does", () => {
    for (let code = 0; code < 0x3000; code++) {
      const text = String.fromCodePoint(code);
      expect(write("string", text)).toBe(JSON.stringify(text));
    }
  });

  it("escapes as JSON does, whatever the length (property)", () => {
    const unit = fc.oneof(fc.constantFrom("\u0001", '"', "\n", "é", "🐘"), fc.constant("a".repeat(500)));
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 2_000 }), (parts) => {
        const text = parts.join("");
        expect(write("string", text)).toBe(JSON.stringify(text));
      }),
      { numRuns: 50 },
    );
  });

  it("keeps the whole of a text of 3 MB that needs escapes throughout", () => {
    const text = "\u0001".repeat(500_000);
    expect(write("string", text)).toBe(JSON.stringify(text));
    expect(write("string", "after")).toBe('"after"');
  });

  it("writes numbers as the values inside arrays are written (property)", () => {
    const number = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
      fc.double().map((value) => (Object.is(value, -0) ? "-0" : String(value))),
      fc.tuple(fc.bigInt(), fc.nat()).map(([whole, part]) => `${String(whole)}.${String(part)}`),
      fc.constantFrom("NaN", "Infinity", "-Infinity", "1e-05", "0.00000000000000000000", "123456789012345"),
    );
    fc.assert(
      fc.property(number, (text) => {
        const json = write("number", text);
        expect(json).toBe(valueJson({ kind: "number" }, text));
        expect([text, `"${text}"`]).toContain(json);
        if (json === text) expect(Number(JSON.parse(json))).toBe(Number(text));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ["2026-02-03 04:05:06.1", '"2026-02-03T04:05:06.1"'],
    ["2026-02-03 04:05:06+00", '"2026-02-03T04:05:06+00:00"'],
    ["0044-03-15 04:05:06.5+00 BC", '"0044-03-15T04:05:06.5+00:00 BC"'],
    ["0044-03-15 04:05:06 BC", '"0044-03-15T04:05:06 BC"'],
    ["infinity", '"infinity"'],
    ["-infinity", '"-infinity"'],
  ])("writes the timestamp %s", (text, expected) => {
    expect(write("timestamp", text)).toBe(expected);
    expect(valueJson({ kind: "timestamptz" }, text)).toBe(expected);
  });

  it("knows when what it wrote is more than ASCII", () => {
    output.json('"é"');
    expect(output.take()).toBe('"é"');
    output.raw(Buffer.from("é"), 0, 2);
    expect(output.take()).toBe("é");
  });
});
