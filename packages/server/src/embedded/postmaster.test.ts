import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../../../tests/support/until.ts";
import { DatabaseLog } from "./database-log.ts";
import { isAlive } from "./postmaster-file.ts";
import { startPostmaster, type PostmasterOptions } from "./postmaster.ts";

/** A log on a disk that is so slow that whoever writes to it has ended before it is closed. */
class SlowLog extends DatabaseLog {
  override async open(): Promise<FileHandle> {
    const file = await super.open();
    const close = file.close.bind(file);
    file.close = async () => {
      await delay(500);
      await close();
    };
    return file;
  }
}

/** Options that start a script in place of PostgreSQL. */
async function optionsFor(script: string): Promise<PostmasterOptions> {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-test-postmaster-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "postgres"), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, "postgres"), 0o755);
  return {
    folder,
    binDir: folder,
    account: undefined,
    port: 1,
    settings: {},
    log: new DatabaseLog(join(folder, "log"), 10_000),
    startTimeoutMs: 60_000,
    signal: new AbortController().signal,
  };
}

test("a PostgreSQL that ends while its log is still being closed has failed, with its reason", async () => {
  const options = await optionsFor("echo 'FATAL:  no room' >&2\nexit 1");
  const log = new SlowLog(options.log.path, 10_000);
  expect(await startPostmaster({ ...options, log })).toEqual({ kind: "failed", reason: "no room" });
});

test("one whose start is given up is ended, whatever it makes of signals", async () => {
  const options = await optionsFor("trap '' QUIT\necho $$ > pid\nexec sleep 600");
  const givingUp = new AbortController();
  const started = startPostmaster({ ...options, signal: givingUp.signal });
  const readPid = (): Promise<string> => readFile(join(options.folder, "pid"), "utf8").catch(() => "");
  const pid = await until(async () => Number(await readPid()) || undefined, { describe: "the script's pid" });
  givingUp.abort();
  expect(await started).toEqual({ kind: "timeout" });
  expect(await isAlive(pid)).toBe(false);
});
