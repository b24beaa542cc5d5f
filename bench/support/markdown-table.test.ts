import { describe, expect, it } from "vitest";
import { format } from "prettier";
import { figure, mediansOf, renderTable } from "./markdown-table.ts";

describe("figure", () => {
  it.each([
    [0, "0"],
    [0.01234, "0.0123"],
    [0.3456, "0.346"],
    [1.2345, "1.23"],
    [-1.2345, "-1.23"],
    [12.345, "12.3"],
    [123.45, "123"],
    [12_345.6, "12,346"],
  ])("%d is %s", (value, text) => {
    expect(figure(value)).toBe(text);
  });
});

describe("renderTable", () => {
  it("is as the formatter would have it", async () => {
    const text = renderTable({
      head: ["", "first", "a longer title"],
      rows: [
        ["`npm start`", "2,798 ms", "1"],
        ["16", "1", "0.25×"],
      ],
    });
    expect(await format(text, { parser: "markdown" })).toBe(`${text}\n`);
  });
});

it("tells how the figures of rounds came about", () => {
  expect([mediansOf(1, { ratios: true }), mediansOf(3), mediansOf(5, { ratios: true })]).toEqual([
    "one round",
    "medians of 3 rounds",
    "medians of 5 rounds and of the rounds' ratios",
  ]);
});
