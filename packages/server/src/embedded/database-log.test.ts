import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DatabaseLog } from "./database-log.ts";

async function newLog(maxBytes: number): Promise<DatabaseLog> {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-test-log-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return new DatabaseLog(join(folder, "postgres.log"), maxBytes);
}

test("what is written through an open file goes to its end, also after it was emptied", async () => {
  const log = await newLog(10);
  const file = await log.open();
  await file.write("a first line that is too long");
  await log.trim();
  await file.write("second");
  await file.close();
  expect(await readFile(log.path, "utf8")).toBe("second");
});

test("within its bound it is kept, and read from any place", async () => {
  const log = await newLog(10);
  await writeFile(log.path, "0123456789");
  await (await log.open()).close();
  expect(await log.fetchSize()).toBe(10);
  expect(await log.fetchAfter(7)).toBe("789");
});

test("an oversized one is emptied when it is opened", async () => {
  const log = await newLog(10);
  await writeFile(log.path, "0123456789a");
  await (await log.open()).close();
  expect(await log.fetchSize()).toBe(0);
});
