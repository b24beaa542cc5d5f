import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { BENCHMARKS } from "./benchmarks.ts";

it("has a question in docs/benchmarks.md for each, and none that is not there", async () => {
  const text = await readFile(new URL("../docs/benchmarks.md", import.meta.url), "utf8");
  const table = /\| name +\| question[^\n]*\n[^\n]*\n((?:\|[^\n]*\n)+)/.exec(text)?.[1] ?? "";
  const named = table.split("\n").flatMap((row) => (row.split("|")[1] ?? "").match(/[\w-]+/g) ?? []);
  expect(named.toSorted()).toEqual(BENCHMARKS.map(({ name }) => name).toSorted());
});
