import { chmod, cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import { expect, onTestFinished, test } from "vitest";
import { locateBinaries } from "../../packages/server/src/embedded/binaries.ts";
import { startEmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import { isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import { lockDataDir } from "../../packages/server/src/embedded/server-lock.ts";
import { newEmbeddedOptions, queryOnce } from "../support/embedded-folder.ts";
import { startInProcess } from "../support/embedded-process.ts";
import { until } from "../support/until.ts";

/** The one sentence that a start fails with. */
async function refusal(start: Promise<{ close(): Promise<void> }>): Promise<string> {
  const outcome = await start.then(
    async (started) => {
      await started.close();
      return "it started";
    },
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(RealtimeError);
  const { message } = outcome instanceof RealtimeError ? outcome : { message: String(outcome) };
  expect(message).not.toContain("\n");
  return message;
}

test("a second server on the folder is refused, and the first one goes on", async () => {
  const options = await newEmbeddedOptions();
  const first = await startInProcess(options);
  const second = await startInProcess(options);
  expect(second.report.error).toContain(`pid ${first.launcherPid}`);
  expect(second.report.error).toContain(options.dataDir);
  await second.close();
  expect(await queryOnce(first.report.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await first.close();
});

test("a killed server leaves no lock behind", async () => {
  const options = await newEmbeddedOptions();
  const first = await startInProcess(options);
  await first.kill();
  const second = await startInProcess(options);
  expect(second.report).toMatchObject({ adopted: true, pid: first.report.pid });
  await second.close();
  expect(await isAlive(first.report.pid)).toBe(false);
});

test("the lock is free after its release, and taken again after a crash of PostgreSQL", async () => {
  const options = await newEmbeddedOptions();
  const database = await startEmbeddedPostgres(options);
  onTestFinished(() => database.close());
  const held = await lockDataDir(database.url, options.dataDir);
  await held.release();
  const again = await lockDataDir(database.url, options.dataDir, { retryIntervalMs: 20 });
  const { pid } = database;
  process.kill(pid, "SIGKILL");
  await until(() => database.pid !== pid, { describe: "the restart" });
  const holders = (): Promise<{ name: string }[]> =>
    queryOnce(
      database.url,
      "select application_name as name from pg_stat_activity where application_name like 'paperdb-realtime server%'",
    );
  await until(async () => (await holders()).length === 1, { describe: "the lock to be taken again" });
  await expect(lockDataDir(database.url, options.dataDir)).rejects.toMatchObject({ code: "conflict" });
  await again.release();
});

test("a server that lost its lock to another while PostgreSQL was away is told", async () => {
  const options = await newEmbeddedOptions();
  const database = await startEmbeddedPostgres(options);
  onTestFinished(() => database.close());
  const lost: string[] = [];
  const slow = await lockDataDir(database.url, options.dataDir, {
    retryIntervalMs: 10_000,
    onLost: (error) => lost.push(error.code),
  });
  const { pid } = database;
  process.kill(pid, "SIGKILL");
  await until(() => database.pid !== pid, { describe: "the restart" });
  const other = await lockDataDir(database.url, options.dataDir);
  await until(() => lost.length > 0, { describe: "the loss to be noticed" });
  expect(lost).toEqual(["conflict"]);
  await Promise.all([slow.release(), other.release()]);
});

test("a taken port", async () => {
  const options = await newEmbeddedOptions();
  const squatter = createServer().listen(options.port, "127.0.0.1");
  onTestFinished(() => void squatter.close());
  const message = await refusal(startEmbeddedPostgres(options));
  expect(message).toContain(`Port ${options.port}`);
  expect(message).toContain("PAPERDB_PG_PORT");
});

test("a folder without the binaries", async () => {
  const options = await newEmbeddedOptions();
  expect(await refusal(startEmbeddedPostgres({ ...options, binDir: "/nowhere" }))).toContain("DATABASE_URL");
});

test("binaries that do not run here", async () => {
  const options = await newEmbeddedOptions();
  const binDir = join(options.dataDir, "broken");
  await mkdir(binDir);
  for (const program of ["initdb", "postgres"]) {
    await writeFile(join(binDir, program), "#!/bin/sh\necho no such library >&2\nexit 127\n", {
      mode: 0o755,
    });
  }
  const message = await refusal(startEmbeddedPostgres({ ...options, binDir }));
  expect(message).toContain("cannot be run here");
  expect(message).toContain("DATABASE_URL");
});

test("a password that was changed behind the launcher's back", async () => {
  const options = await newEmbeddedOptions();
  const first = await startEmbeddedPostgres(options);
  await queryOnce(first.url, "alter role paperdb password 'by hand'");
  await first.close().catch(() => undefined);
  const message = await refusal(startEmbeddedPostgres({ ...options, password: "unknown" }));
  expect(message).toContain("PAPERDB_PG_PASSWORD");
  expect(message).not.toContain("unknown");
});

test("another password while a server uses the database: that server goes on", async () => {
  const options = await newEmbeddedOptions();
  const server = await startInProcess(options);
  const message = await refusal(startEmbeddedPostgres({ ...options, password: "another" }));
  expect(message).toContain(`pid ${server.launcherPid}`);
  expect(message).toContain("PAPERDB_PG_PASSWORD");
  expect(await queryOnce(server.report.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await server.close();
});

test("a folder that holds something else", async () => {
  const options = await newEmbeddedOptions();
  await mkdir(join(options.dataDir, "postgres"));
  await writeFile(join(options.dataDir, "postgres", "notes.txt"), "mine");
  expect(await refusal(startEmbeddedPostgres(options))).toContain("PAPERDB_DATA_DIR");
  expect(await readdir(join(options.dataDir, "postgres"))).toEqual(["notes.txt"]);
  expect((await readdir(options.dataDir)).filter((name) => name.includes(".new-"))).toEqual([]);
});

test("a data folder that is a file", async () => {
  const options = await newEmbeddedOptions();
  const dataDir = join(options.dataDir, "file");
  await writeFile(dataDir, "");
  expect(await refusal(startEmbeddedPostgres({ ...options, dataDir }))).toContain("PAPERDB_DATA_DIR");
});

test("a setting that PostgreSQL does not take: its own reason is in the sentence", async () => {
  const options = await newEmbeddedOptions();
  const message = await refusal(startEmbeddedPostgres({ ...options, settings: { max_connections: "many" } }));
  expect(message).toContain("max_connections");
});

test("library links that are missing are made, once", async () => {
  const options = await newEmbeddedOptions();
  const native = dirname(await locateBinaries());
  const copy = join(options.dataDir, "package", "native");
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  const links = (await readdir(join(copy, "lib"), { withFileTypes: true })).filter((e) => e.isSymbolicLink());
  expect(links.length).toBeGreaterThan(0);
  for (const { name } of links) await rm(join(copy, "lib", name));
  await chmod(options.dataDir, 0o755);
  const { createLibraryLinks } = await import("../../packages/server/src/embedded/library-links.ts");
  await createLibraryLinks(dirname(copy));
  await createLibraryLinks(dirname(copy));
  const database = await startEmbeddedPostgres({ ...options, binDir: join(copy, "bin") });
  expect(await queryOnce(database.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await database.close();
});
