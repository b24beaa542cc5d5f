import { readFile, writeFile } from "node:fs/promises";
import { format } from "prettier";

const DOCUMENT = new URL("../../docs/benchmarks.md", import.meta.url);
const BEGIN = "<!-- results: written by npm run bench -- --write -->";
const END = "<!-- end of results -->";

/** Replaces the results in `docs/benchmarks.md`. */
export async function writeReport(report: string): Promise<void> {
  const text = await readFile(DOCUMENT, "utf8");
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin)
    throw new Error(`docs/benchmarks.md has lost its marks "${BEGIN}" and "${END}".`);
  const updated = `${text.slice(0, begin + BEGIN.length)}\n\n${report}\n\n${text.slice(end)}`;
  await writeFile(DOCUMENT, await format(updated, { parser: "markdown" }));
}
