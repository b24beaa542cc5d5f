import { describe, expect, it } from "vitest";
import { parseQualifiedName, quoteQualifiedName } from "./identifier.ts";

describe("parseQualifiedName", () => {
  it.each([
    ["todos", "public", "todos"],
    ["app.Todos", "app", "Todos"],
    ['"a.b"."c""d"', "a.b", 'c"d'],
    ['app."x.y"', "app", "x.y"],
    ["schéma.naïve:*'", "schéma", "naïve:*'"],
  ])("reads %s", (text, schema, table) => {
    expect(parseQualifiedName(text)).toEqual({ schema, table });
  });

  it.each(["", ".", "a.", ".b", "a.b.c", '"a', 'a"b', '""'])("refuses %j", (text) => {
    expect(parseQualifiedName(text)).toBeUndefined();
  });
});

describe("quoteQualifiedName", () => {
  it("quotes both parts", () => {
    expect(quoteQualifiedName({ schema: "a.b", table: 'c"d' })).toBe('"a.b"."c""d"');
  });
});
