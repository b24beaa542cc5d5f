import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findAccount } from "../../packages/server/src/embedded/account.ts";
import { locateBinaries } from "../../packages/server/src/embedded/binaries.ts";
import { DatabaseLog } from "../../packages/server/src/embedded/database-log.ts";
import { startEmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import type {
  EmbeddedPostgres,
  EmbeddedPostgresOptions,
} from "../../packages/server/src/embedded/embedded-postgres.ts";
import { embeddedPaths, Launcher } from "../../packages/server/src/embedded/launcher.ts";
import { isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import type { Postmaster } from "../../packages/server/src/embedded/postmaster.ts";
import { makeReachable } from "../../packages/server/src/embedded/reachable-binaries.ts";
import { postgresSettings } from "../../packages/server/src/embedded/settings.ts";
import { Supervisor } from "../../packages/server/src/embedded/supervisor.ts";
import { newEmbeddedOptions, queryOnce } from "../support/embedded-folder.ts";
import { startInProcess } from "../support/embedded-process.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";

async function start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const database = await startEmbeddedPostgres(options);
  onTestFinished(() => database.close());
  return database;
}

test("a first start makes a database that is ready for both modes and open to this machine only", async () => {
  const options = await newEmbeddedOptions();
  const database = await start(options);
  expect(database).toMatchObject({ port: options.port, adopted: false, firstStart: true });
  const rows = await queryOnce(
    database.url,
    `select current_user::text as "user", current_database()::text as database,
       current_setting('server_version_num')::int / 10000 as major,
       current_setting('wal_level') as wal_level, current_setting('listen_addresses') as addresses,
       current_setting('unix_socket_directories') as sockets, current_setting('server_encoding') as encoding,
       current_setting('max_slot_wal_keep_size') as keep, upper('äé') as upper,
       (select bool_and(auth_method = 'scram-sha-256') from pg_hba_file_rules) as scram`,
  );
  expect(rows).toEqual([
    {
      user: "paperdb",
      database: "paperdb",
      major: 18,
      wal_level: "logical",
      addresses: "127.0.0.1",
      sockets: ".",
      encoding: "UTF8",
      keep: "1GB",
      upper: "ÄÉ",
      scram: true,
    },
  ]);
});

test("what it keeps is closed to other users, and no password is left behind by the set-up", async () => {
  const options = await newEmbeddedOptions();
  const database = await start(options);
  const modeOf = async (name: string): Promise<number> =>
    (await stat(join(options.dataDir, name))).mode & 0o777;
  expect(await modeOf("postgres")).toBe(0o700);
  expect(await modeOf("postgres.log")).toBe(0o600);
  expect(await modeOf("pg-password-applied")).toBe(0o600);
  await expect(queryOnce(database.url.replace(/:[^:@]+@/, ":wrong@"), "select 1")).rejects.toThrow(
    /password authentication failed/,
  );
});

test.runIf(process.platform === "linux")(
  "it has a process group of its own, which Ctrl-C spares",
  async () => {
    const database = await start(await newEmbeddedOptions());
    const status = await readFile(`/proc/${database.pid}/stat`, "utf8");
    expect(Number(status.split(") ")[1]?.split(" ")[2])).toBe(database.pid);
  },
);

test("its log holds neither statements nor rows", async () => {
  const options = await newEmbeddedOptions();
  const database = await start(options);
  await queryOnce(database.url, "create table t (v text primary key); insert into t values ('s3cret-row')");
  await expect(queryOnce(database.url, "insert into t values ('s3cret-row')")).rejects.toThrow(
    /duplicate key/,
  );
  const log = await readFile(join(options.dataDir, "postgres.log"), "utf8");
  expect(log).toContain("duplicate key");
  expect(log).not.toContain("s3cret-row");
});

test("a restart keeps the data, after an orderly end", async () => {
  const options = await newEmbeddedOptions();
  const first = await startEmbeddedPostgres(options);
  await queryOnce(first.url, "create table kept as select 42 as answer");
  await first.close();
  expect(await isAlive(first.pid)).toBe(false);
  const second = await start(options);
  expect(second).toMatchObject({ firstStart: false, adopted: false });
  expect(await queryOnce(second.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  const log = await readFile(join(options.dataDir, "postgres.log"), "utf8");
  expect(log).not.toContain("not properly shut down");
});

test("a killed PostgreSQL is started again, with what was committed", async () => {
  const options = await newEmbeddedOptions();
  const exits: string[] = [];
  const database = await start({ ...options, onExit: (why) => exits.push(why) });
  await queryOnce(database.url, "create table kept as select 42 as answer");
  const { pid } = database;
  process.kill(pid, "SIGKILL");
  await until(() => database.pid !== pid, { describe: "another process" });
  expect(await queryOnce(database.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  expect(exits).toEqual(["signal SIGKILL"]);
});

test("it is started again as often as it is killed", async () => {
  const database = await start(await newEmbeddedOptions());
  for (let round = 0; round < 3; round++) {
    const { pid } = database;
    process.kill(pid, "SIGKILL");
    await until(() => database.pid !== pid, { describe: `round ${round}` });
  }
  expect(await queryOnce(database.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("close() wins over a restart that is under way", async () => {
  const options = await newEmbeddedOptions();
  const messages: string[] = [];
  const exits: string[] = [];
  const database = await startEmbeddedPostgres({
    ...options,
    log: (message) => messages.push(message),
    onExit: (why) => exits.push(why),
  });
  process.kill(database.pid, "SIGKILL");
  await until(() => exits.length > 0, { describe: "the exit to be noticed" });
  await database.close();
  expect(messages).not.toContain("the embedded PostgreSQL runs again");
  await expect(queryOnce(database.url, "select 1")).rejects.toThrow(/ECONNREFUSED/);
  const next = await start(options);
  expect(next.adopted).toBe(false);
});

test("a changed password is applied, and the old one is refused", async () => {
  const options = await newEmbeddedOptions();
  const first = await startEmbeddedPostgres(options);
  await first.close();
  const second = await start({ ...options, password: "second" });
  expect(await queryOnce(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await expect(queryOnce(first.url, "select 1")).rejects.toThrow(/password authentication failed/);
});

test("what a killed first start left behind is cleared, and what a running one makes is not", async () => {
  const options = await newEmbeddedOptions();
  const ended = spawn(process.execPath, ["-e", ""]);
  await once(ended, "exit");
  await mkdir(join(options.dataDir, `postgres.new-${ended.pid}-abc`, "data"), { recursive: true });
  await mkdir(join(options.dataDir, `postgres.new-${process.ppid}-abc`));
  await start(options);
  const drafts = (await readdir(options.dataDir)).filter((name) => name.includes(".new-"));
  expect(drafts).toEqual([`postgres.new-${process.ppid}-abc`]);
});

test("of two first starts at once both get the same PostgreSQL, and it ends with the last", async () => {
  const options = await newEmbeddedOptions();
  const [first, second] = await Promise.all([startInProcess(options), startInProcess(options)]);
  const reports = [first.report, second.report];
  // Both may start it, but only one may be the server.
  expect(reports.filter(({ error }) => error === undefined)).toHaveLength(1);
  expect(reports.find(({ error }) => error !== undefined)?.error).toMatch(/Another server \(pid \d+\)/);
  const winner = reports.find(({ error }) => error === undefined);
  expect(await queryOnce(winner?.url ?? "", "select 1 as one")).toEqual([{ one: 1 }]);
  await Promise.all([first.close(), second.close()]);
  expect(await isAlive(winner?.pid ?? 0)).toBe(false);
});

test("two uses in one process share one PostgreSQL", async () => {
  const options = await newEmbeddedOptions();
  const [first, second] = await Promise.all([startEmbeddedPostgres(options), startEmbeddedPostgres(options)]);
  expect(first.pid).toBe(second.pid);
  expect(first.firstStart).not.toBe(second.firstStart);
  await first.close();
  // Told twice, it does not end what is the other's alone now.
  await first.close();
  expect(await queryOnce(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await second.close();
  expect(await isAlive(second.pid)).toBe(false);
});

test("the PostgreSQL of a killed server is taken over, and then ended in order", async () => {
  const options = await newEmbeddedOptions();
  const killed = await startInProcess(options);
  await killed.kill();
  expect(await isAlive(killed.report.pid)).toBe(true);
  const database = await startEmbeddedPostgres(options);
  expect(database).toMatchObject({ adopted: true, pid: killed.report.pid, firstStart: false });
  await database.close();
  expect(await isAlive(database.pid)).toBe(false);
});

test("one that was taken over is started again when it is killed", async () => {
  const options = await newEmbeddedOptions();
  const killed = await startInProcess(options);
  await killed.kill();
  const database = await start(options);
  const { pid } = database;
  process.kill(pid, "SIGKILL");
  await until(() => database.pid !== pid, { describe: "another process" });
  expect(await queryOnce(database.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("server and PostgreSQL killed together recover", async () => {
  const options = await newEmbeddedOptions();
  const killed = await startInProcess(options);
  await queryOnce(killed.report.url, "create table kept as select 42 as answer");
  await killed.kill();
  process.kill(killed.report.pid, "SIGKILL");
  await until(async () => !(await isAlive(killed.report.pid)), { describe: "the end of PostgreSQL" });
  const database = await start(options);
  expect(database.pid).not.toBe(killed.report.pid);
  expect(await queryOnce(database.url, "select answer from kept")).toEqual([{ answer: 42 }]);
});

/** Takes over what another process is just ending, and finds it gone. */
class LateLauncher extends Launcher {
  override async acquire(...args: Parameters<Launcher["acquire"]>): Promise<Postmaster> {
    const postmaster = await super.acquire(...args);
    if (postmaster.adopted) await this.stop(postmaster);
    return postmaster;
  }
}

test("one that its own process ends while it is taken over is started again", async () => {
  const { dataDir, port, password } = await newEmbeddedOptions();
  const killed = await startInProcess({ dataDir, port, password, fsync: false });
  await killed.kill();
  const paths = embeddedPaths(dataDir);
  const account = await findAccount(paths.cluster);
  const { binDir } = await makeReachable(await locateBinaries(), account, paths.binariesMemo);
  const databaseLog = new DatabaseLog(paths.log, 1_000_000);
  const settings = postgresSettings(false);
  const timeouts = { startTimeoutMs: 60_000, stopTimeoutMs: 60_000 };
  const folder = paths.cluster;
  const supervisor = new Supervisor({
    launcher: new LateLauncher({ folder, binDir, account, port, settings, databaseLog, ...timeouts }),
    databaseLog,
    setup: { user: "paperdb", database: "paperdb", password, lastPassword: undefined },
    restart: false,
    maxRestartDelayMs: 1_000,
    log: () => undefined,
    onExit: () => undefined,
  });
  expect(await supervisor.start()).toBe(false);
  expect(await isAlive(killed.report.pid)).toBe(false);
  expect(await isAlive(supervisor.pid)).toBe(true);
  await supervisor.close();
});

test("one left over on another port is moved to the configured one", async () => {
  const options = await newEmbeddedOptions();
  const killed = await startInProcess(options);
  await killed.kill();
  const port = await freePort();
  const database = await start({ ...options, port });
  expect(database).toMatchObject({ adopted: false, port });
  expect(await isAlive(killed.report.pid)).toBe(false);
});

test("one that a running server uses stays where it is, and outlives a second user", async () => {
  const options = await newEmbeddedOptions();
  const server = await startInProcess(options);
  const tool = await startEmbeddedPostgres({ ...options, port: await freePort() });
  expect(tool).toMatchObject({ adopted: true, pid: server.report.pid, port: options.port });
  await tool.close();
  expect(await queryOnce(server.report.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await server.close();
  expect(await isAlive(server.report.pid)).toBe(false);
});
