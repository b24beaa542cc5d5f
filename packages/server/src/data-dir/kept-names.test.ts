import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { keptNames } from "./kept-names.ts";

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "paperdb-test-names-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

it("outlive the process, the last ones kept, and leave nothing else", async () => {
  const dataDir = join(folder, "data");
  expect(await keptNames(dataDir, "names.json").fetch()).toEqual([]);
  await keptNames(dataDir, "names.json").keep(["a"]);
  await keptNames(dataDir, "names.json").keep(["a", 'b"/']);
  expect(await keptNames(dataDir, "names.json").fetch()).toEqual(["a", 'b"/']);
  expect(await readdir(dataDir)).toEqual(["names.json"]);
});

it.each(["", "{}", "[1]"])("are not read from what is no list of names: %s", async (text) => {
  await writeFile(join(folder, "names.json"), text);
  await expect(keptNames(folder, "names.json").fetch()).rejects.toThrow(/JSON|no list/);
});
