import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureDataDir, readOrCreateSecret, writeSecret } from "./secrets.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "paperdb-test-secrets-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function modeOf(...path: string[]): Promise<number> {
  return (await stat(join(folder, ...path))).mode & 0o777;
}

test("a secret is made once, for its owner only, in a folder for its owner only", async () => {
  const dataDir = join(folder, "new", "data");
  const secret = await readOrCreateSecret(dataDir, "admin-key");
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(await readOrCreateSecret(dataDir, "admin-key")).toBe(secret);
  expect(await modeOf("new", "data")).toBe(0o700);
  expect(await modeOf("new", "data", "admin-key")).toBe(0o600);
  expect(await readdir(dataDir)).toEqual(["admin-key"]);
});

test("each name has a secret of its own", async () => {
  expect(await readOrCreateSecret(folder, "admin-key")).not.toBe(
    await readOrCreateSecret(folder, "pg-password"),
  );
});

test("all that make it at once get the same one, and no draft is left", async () => {
  const secrets = await Promise.all(
    Array.from({ length: 20 }, () => readOrCreateSecret(folder, "admin-key")),
  );
  expect(new Set(secrets).size).toBe(1);
  expect(await readdir(folder)).toEqual(["admin-key"]);
});

test("one that was put there is used without its line end, and closed to others", async () => {
  await writeFile(join(folder, "pg-password"), "mine\n", { mode: 0o644 });
  expect(await readOrCreateSecret(folder, "pg-password")).toBe("mine");
  expect(await modeOf("pg-password")).toBe(0o600);
});

test("an empty file is no secret", async () => {
  await writeFile(join(folder, "admin-key"), "\n");
  await expect(readOrCreateSecret(folder, "admin-key")).rejects.toThrow(/PAPERDB_DATA_DIR/);
});

test("writeSecret replaces the file as a whole", async () => {
  const path = join(folder, "pg-password-applied");
  await writeSecret(path, "one");
  await writeSecret(path, "two");
  expect(await readFile(path, "utf8")).toBe("two");
  expect(await modeOf("pg-password-applied")).toBe(0o600);
  expect(await readdir(folder)).toEqual(["pg-password-applied"]);
});

test("a folder that exists keeps its mode", async () => {
  await chmod(folder, 0o750);
  await ensureDataDir(folder);
  expect((await stat(folder)).mode & 0o777).toBe(0o750);
});

test("a data folder below a file is refused in a sentence that names the setting", async () => {
  await writeFile(join(folder, "file"), "");
  await expect(readOrCreateSecret(join(folder, "file", "data"), "admin-key")).rejects.toThrow(
    /set PAPERDB_DATA_DIR to a folder/,
  );
});
