import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { DatabaseLog } from "./database-log.ts";
import { startPostmaster } from "./postmaster.ts";

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

test("a PostgreSQL that ends while its log is still being closed has failed, with its reason", async () => {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-test-postmaster-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "postgres"), "#!/bin/sh\necho 'FATAL:  no room' >&2\nexit 1\n");
  await chmod(join(folder, "postgres"), 0o755);
  const failure = await startPostmaster({
    folder,
    binDir: folder,
    account: undefined,
    port: 1,
    settings: {},
    log: new SlowLog(join(folder, "log"), 10_000),
    startTimeoutMs: 60_000,
    signal: new AbortController().signal,
  });
  expect(failure).toEqual({ kind: "failed", reason: "no room" });
});
