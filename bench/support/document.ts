import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import type { Chart } from "../benchmark.ts";

/** The folder of `benchmarks.md`. */
export const DOCUMENTS: string = fileURLToPath(new URL("../../docs", import.meta.url));
const DOCUMENT = join(DOCUMENTS, "benchmarks.md");
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

/** Writes a chart into a folder, which is made where it is not there. */
export async function writeChart(folder: string, { name, svg }: Chart): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.svg`), svg);
}
