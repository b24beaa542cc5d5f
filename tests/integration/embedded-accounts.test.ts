import { spawn } from "node:child_process";
import { chmod, chown, cp, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseAccounts } from "../../packages/server/src/embedded/account.ts";
import { locateBinaries } from "../../packages/server/src/embedded/binaries.ts";
import { startEmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import { isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import { newEmbeddedOptions, queryOnce } from "../support/embedded-folder.ts";
import { startInProcess } from "../support/embedded-process.ts";
import { until } from "../support/until.ts";

const isRoot = process.getuid?.() === 0;

async function nobody(): Promise<{ uid: number; gid: number }> {
  const account = parseAccounts(await readFile("/etc/passwd", "utf8")).find(({ name }) => name === "nobody");
  if (account === undefined) throw new Error("This system has no account `nobody`.");
  return { uid: account.uid, gid: account.gid };
}

describe.runIf(isRoot)("as root", () => {
  test("it runs as another account, also below folders that only root can enter", async () => {
    const options = await newEmbeddedOptions();
    const closed = join(options.dataDir, "closed");
    await mkdir(closed, { mode: 0o700 });
    const database = await startEmbeddedPostgres({ ...options, dataDir: join(closed, "data") });
    onTestFinished(() => database.close());
    expect((await stat(`/proc/${database.pid}`)).uid).not.toBe(0);
    expect((await stat(join(closed, "data"))).uid).toBe(0);
    await queryOnce(database.url, "create table kept as select 42 as answer; checkpoint");
    expect(await queryOnce(database.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  });

  test("binaries that the account cannot reach are copied, found again, and removed at the end", async () => {
    const options = await newEmbeddedOptions();
    const closed = join(options.dataDir, "package");
    await cp(dirname(await locateBinaries()), closed, { recursive: true, verbatimSymlinks: true });
    await chmod(closed, 0o700);
    const closedOptions = { ...options, binDir: join(closed, "bin") };
    const killed = await startInProcess(closedOptions);
    const copy = await readFile(join(options.dataDir, "postgres-binaries"), "utf8");
    expect((await stat(copy)).uid).toBe(0);
    await killed.kill();
    const database = await startEmbeddedPostgres(closedOptions);
    expect(database.adopted).toBe(true);
    expect(await readFile(join(options.dataDir, "postgres-binaries"), "utf8")).toBe(copy);
    await database.close();
    await expect(stat(copy)).rejects.toThrow(/ENOENT/);
  });

  test("a copy that is damaged is made anew", async () => {
    const options = await newEmbeddedOptions();
    const closed = join(options.dataDir, "package");
    await cp(dirname(await locateBinaries()), closed, { recursive: true, verbatimSymlinks: true });
    await chmod(closed, 0o700);
    const closedOptions = { ...options, binDir: join(closed, "bin") };
    const killed = await startInProcess(closedOptions);
    process.kill(killed.report.pid, "SIGQUIT");
    await killed.kill();
    await until(async () => !(await isAlive(killed.report.pid)), { describe: "the end of PostgreSQL" });
    const memo = join(options.dataDir, "postgres-binaries");
    const copy = await readFile(memo, "utf8");
    await writeFile(join(copy, "bin", "initdb"), "");
    const database = await startEmbeddedPostgres(closedOptions);
    onTestFinished(() => database.close());
    expect(await readFile(memo, "utf8")).not.toBe(copy);
    await expect(stat(copy)).rejects.toThrow(/ENOENT/);
    expect(await queryOnce(database.url, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("an ordinary user runs it as themselves; root then runs it as that user", async () => {
    const options = await newEmbeddedOptions();
    const user = await nobody();
    await chown(options.dataDir, user.uid, user.gid);
    const ordinary = await startInProcess(options, user);
    expect(ordinary.report).toMatchObject({ firstStart: true, adopted: false });
    expect((await stat(`/proc/${ordinary.report.pid}`)).uid).toBe(user.uid);
    await ordinary.close();
    const database = await startEmbeddedPostgres(options);
    onTestFinished(() => database.close());
    expect((await stat(`/proc/${database.pid}`)).uid).toBe(user.uid);
  });

  test("an ordinary user is told when the data is another user's", async () => {
    const options = await newEmbeddedOptions();
    const database = await startEmbeddedPostgres(options);
    await database.close();
    const user = await nobody();
    const closed = await startInProcess(options, user);
    expect(closed.report.error).toContain("set PAPERDB_DATA_DIR to a folder");
    await chown(options.dataDir, user.uid, user.gid);
    await chown(join(options.dataDir, "postgres"), 0, 0);
    const others = await startInProcess(options, user);
    expect(others.report.error).toContain("belongs to another user");
  });

  test("a stale lock file whose process id another program has by now does no harm", async () => {
    const options = await newEmbeddedOptions();
    const first = await startEmbeddedPostgres(options);
    await first.close();
    const cluster = join(options.dataDir, "postgres");
    const { uid, gid } = await stat(cluster);
    const stranger = spawn("sleep", ["600"], { uid, gid, stdio: "ignore" });
    onTestFinished(() => void stranger.kill());
    for (const name of ["postmaster.pid", `.s.PGSQL.${options.port}.lock`]) {
      await writeFile(
        join(cluster, name),
        `${stranger.pid}\n/proc/self/cwd\n0\n${options.port}\n.\n127.0.0.1\n`,
      );
      await chown(join(cluster, name), uid, gid);
    }
    const database = await startEmbeddedPostgres(options);
    onTestFinished(() => database.close());
    expect(database.adopted).toBe(false);
    expect(await queryOnce(database.url, "select 1 as one")).toEqual([{ one: 1 }]);
  });
});
