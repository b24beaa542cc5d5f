import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RunningCommand, runCommandLine, startCommandLine } from "../support/command-line.ts";
import type { CommandOptions } from "../support/command-line.ts";
import { freePort } from "../support/free-port.ts";

let options: CommandOptions;
let folder = "";
const running: RunningCommand[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "paperdb-cli-embedded-"));
  const env = {
    PAPERDB_DATA_DIR: join(folder, "data"),
    PORT: "0",
    PAPERDB_PG_PORT: String(await freePort()),
  };
  options = { cwd: folder, env };
});

afterEach(async () => {
  // In order, so that no PostgreSQL is left behind.
  for (const command of running.splice(0)) await command.end("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<RunningCommand> {
  const command = startCommandLine(["start"], options);
  running.push(command);
  await command.waitFor("PaperDB Realtime is running on");
  return command;
}

test("a first start shows keys, database and a curl line that works when pasted; a later one no secret", async () => {
  const first = await start();
  await first.waitFor("npm run demo:write");
  expect(first.stdout).toMatch(/flc_secret_\w{32}/);
  const databaseUrl = /postgres:\/\/\S+/.exec(first.stdout)?.[0] ?? "";
  const curlLine = /^ *(curl .*)$/m.exec(first.stdout)?.[1] ?? "";

  const curl = new RunningCommand("/bin/sh", ["-c", `exec ${curlLine} -s`]);
  running.push(curl);
  await curl.waitFor("event: ready");
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    "insert into todos (tenant_id, title) values ('demo', 'by any client'), ('other', 'hidden')",
  );
  await client.end();
  await curl.waitFor("by any client");

  const demo = startCommandLine(["demo-write"], options);
  running.push(demo);
  await demo.waitFor("todos ");
  await curl.waitFor(/Row 1 of \S+/.exec(demo.stdout)?.[0] ?? "Row 1");
  expect((await demo.end("SIGINT")).code).toBe(0);
  expect(curl.stdout).not.toContain("hidden");

  const whileRunning = await runCommandLine(["tenants", "list"], options);
  expect(whileRunning.stdout).toMatch(/^demo +pro /m);
  expect(await first.end("SIGTERM")).toMatchObject({ code: 0, stderr: "" });
  await curl.end("SIGTERM");

  const whileStopped = await runCommandLine(["keys", "create", "demo"], options);
  expect(whileStopped.stdout).toMatch(/^flc_anon_\w+\n$/);

  const second = await start();
  await second.waitFor("paperdb-realtime keys create");
  const password = new URL(databaseUrl).password;
  expect(password.length).toBeGreaterThan(20);
  expect(second.stdout).not.toContain(password);
  expect(second.stdout).not.toMatch(/flc_\w{10}/);
  expect((await second.end("SIGTERM")).code).toBe(0);
});

test("a tenant made before the first start is kept, and the demo comes with it", async () => {
  expect((await runCommandLine(["tenants", "create", "mine"], options)).code).toBe(0);
  const server = await start();
  await server.waitFor("flc_anon_");
  const { stdout } = await runCommandLine(["tenants", "list"], options);
  expect(stdout).toMatch(/^demo .*\nmine /m);
});
