import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { fetchPostmasterFile, isAlive, isPostmasterOf, removeStaleLocks } from "./postmaster-file.ts";
import { parsePostmasterFile } from "./postmaster-file.ts";

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-test-cluster-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test.each([
  ["4711\n/data\n1700000000\n5433\n.\n127.0.0.1\n  123 456\nready   \n", { port: 5433, status: "ready" }],
  ["4711\n/data\n1700000000\n5433\n.\n127.0.0.1\n  123 456\nstarting\n", { port: 5433, status: "starting" }],
  ["4711\n/data\n1700000000\n5433\n\n", { port: 5433, status: "unknown" }],
  ["4711\n", { port: 0, status: "unknown" }],
])("%j", (text, expected) => {
  expect(parsePostmasterFile(text)).toEqual({ pid: 4711, ...expected });
});

test.each(["", "\n", "garbage\n", "-4711\n", "0\n"])("%j says nothing", (text) => {
  expect(parsePostmasterFile(text)).toBeUndefined();
});

test("without a file there is nothing to read", async () => {
  expect(await fetchPostmasterFile(await newFolder())).toBeUndefined();
});

test("a process lives until it has ended", async () => {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  await once(child, "spawn");
  expect(await isAlive(child.pid ?? 0)).toBe(true);
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  expect(await isAlive(child.pid ?? 0)).toBe(false);
});

test.runIf(process.platform === "linux")(
  "another program in the cluster's folder is not its PostgreSQL",
  async () => {
    const folder = await newFolder();
    const child = spawn("sleep", ["600"], { cwd: folder, stdio: "ignore" });
    onTestFinished(() => void child.kill());
    await once(child, "spawn");
    expect(await isPostmasterOf(child.pid ?? 0, folder)).toBe(false);
  },
);

test("only lock files are removed", async () => {
  const folder = await newFolder();
  for (const name of [
    "postmaster.pid",
    ".s.PGSQL.5433",
    ".s.PGSQL.5433.lock",
    "PG_VERSION",
    "postmaster.opts",
  ]) {
    await writeFile(join(folder, name), "");
  }
  await removeStaleLocks(folder);
  expect((await readdir(folder)).toSorted()).toEqual(["PG_VERSION", "postmaster.opts"]);
});
