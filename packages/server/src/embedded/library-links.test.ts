import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLibraryLinks } from "./library-links.ts";

async function newPackage(links: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-test-links-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, "native", "lib"), { recursive: true });
  await writeFile(join(folder, "native", "lib", "libpq.so.5.18"), "library");
  await writeFile(join(folder, "native", "pg-symlinks.json"), JSON.stringify(links));
  return folder;
}

const LINK = { source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so.5" };

test("a link is relative, so that the folder may be moved, and is made once", async () => {
  const folder = await newPackage([LINK]);
  await createLibraryLinks(folder);
  await createLibraryLinks(folder);
  expect(await readlink(join(folder, LINK.target))).toBe("libpq.so.5.18");
  expect(await readFile(join(folder, LINK.target), "utf8")).toBe("library");
});

test("a package without a list needs none", async () => {
  const folder = await newPackage([]);
  await rm(join(folder, "native", "pg-symlinks.json"));
  await expect(createLibraryLinks(folder)).resolves.toBeUndefined();
});

test("a link that cannot be made is told in one sentence", async () => {
  const folder = await newPackage([{ ...LINK, target: "native/missing/libpq.so.5" }]);
  await expect(createLibraryLinks(folder)).rejects.toThrow(
    /install without --ignore-scripts, or set DATABASE_URL/,
  );
});
