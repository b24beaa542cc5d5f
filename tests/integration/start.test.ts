import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { fetchPostmasterFile, isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import { runCommandLine } from "../support/command-line.ts";
import { queryOnce } from "../support/embedded-folder.ts";
import { freePort } from "../support/free-port.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { createServerHome, fetchDescendantPids } from "../support/server-process.ts";
import { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

async function newDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  return database;
}

test("npm start serves the demo, and Ctrl-C ends everything that it started", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-start-"));
  const port = await freePort();
  const npm = spawn("npm", ["start"], {
    cwd: root,
    // A process group, as a terminal makes one: Ctrl-C is a signal to all in it.
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      DATABASE_URL: "",
      PAPERDB_DATA_DIR: dataDir,
      PORT: String(port),
      PAPERDB_PG_PORT: String(await freePort()),
    },
  });
  const group = -(npm.pid ?? 0);
  let printed = "";
  npm.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  let processes: number[] = [];
  onTestFinished(async () => {
    const left = await fetchDescendantPids(...processes, npm.pid ?? 0);
    for (const pid of left) if (await isAlive(pid)) process.kill(pid, "SIGKILL");
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
  });
  await until(() => printed.includes("npm run demo:write") || npm.exitCode !== null, {
    describe: () => `the banner, got ${printed}`,
  });
  const postmaster = await fetchPostmasterFile(join(dataDir, "postgres"));
  processes = await fetchDescendantPids(npm.pid ?? 0, postmaster?.pid ?? 0);
  expect(processes.length).toBeGreaterThan(3);
  const [anonKey = ""] = /flc_anon_\w+/.exec(printed) ?? [];
  const [databaseUrl = ""] = /postgres:\/\/\S+/.exec(printed) ?? [];
  const client = await SseClient.open(
    `http://127.0.0.1:${port}/v1/events/subscribe?collection=todos&apikey=${anonKey}`,
  );
  await client.waitForEvent("ready");
  await queryOnce(databaseUrl, "update todos set done = not done where id = 1");
  expect(await client.waitForMessages(1)).toMatchObject([{ type: "update", documentId: "1" }]);
  process.kill(group, "SIGINT");
  await client.waitForEnd();
  for (const pid of processes) {
    await until(async () => !(await isAlive(pid)), { describe: `the end of process ${pid}` });
  }
  expect(await readFile(join(dataDir, "postgres.log"), "utf8")).toMatch(/database system is shut down\s*$/);
});

test("two servers that start together on one new database both work", async () => {
  const database = await newDatabase();
  await database.query("create table todos (id int primary key, tenant_id text, title text)");
  const homes = [await createServerHome(), await createServerHome()] as const;
  const env = { DATABASE_URL: database.url };
  const servers = await Promise.all(homes.map((home) => home.start(env)));
  const options = { cwd: homes[0].dataDir, env: { ...env, PAPERDB_DATA_DIR: homes[0].dataDir } };
  expect((await runCommandLine(["tenants", "create", "alice"], options)).code).toBe(0);
  const key = (await runCommandLine(["keys", "create", "alice"], options)).stdout.trim();
  // At once, so that both install the table's trigger.
  const clients = await Promise.all(
    homes.map((home) => SseClient.open(`${home.url}/v1/events/subscribe?collection=todos`, { apikey: key })),
  );
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  for (const client of clients) await client.waitForEvent("ready");
  await database.query("insert into todos values (1, 'alice', 'for both'), (2, 'bob', 'for none')");
  await database.query("delete from todos");
  for (const client of clients) {
    expect(await client.waitForMessages(2)).toMatchObject([
      { type: "insert", document: { title: "for both" } },
      { type: "delete", document: { title: "for both" } },
    ]);
  }
  const [first, second] = servers;
  expect((await first?.end("SIGTERM"))?.code).toBe(0);
  // One that ends takes nothing from the other.
  await database.query("insert into todos values (3, 'alice', 'for one')");
  expect(await clients[1]?.waitForMessages(3)).toMatchObject([{}, {}, { document: { title: "for one" } }]);
  expect((await second?.end("SIGTERM"))?.code).toBe(0);
});

test("a wrong password or role in DATABASE_URL is one line that keeps the password to itself", async () => {
  const database = await newDatabase();
  for (const member of ["password", "username"] as const) {
    const url = new URL(database.url);
    url[member] = "wr0ng-secret";
    const { code, stdout, stderr } = await runCommandLine(["start"], {
      env: { DATABASE_URL: url.href, PORT: "0" },
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /^paperdb-realtime: [^\n]*DATABASE_URL[^\n]*\n$|^paperdb-realtime: [^\n]*cannot be used[^\n]*\n$/,
    );
    if (member === "password") expect(stderr).not.toContain("wr0ng-secret");
  }
});

test("a taken port on the first start: nothing is left behind, and the next start shows the demo's keys", async () => {
  const home = await createServerHome();
  const other = createServer();
  await new Promise<void>((resolve) => {
    other.listen(Number(new URL(home.url).port), "127.0.0.1", resolve);
  });
  await expect(home.start()).rejects.toThrow(/Port \d+ on 127\.0\.0\.1 is taken/);
  await new Promise((resolve) => other.close(resolve));
  expect(await fetchPostmasterFile(join(home.dataDir, "postgres"))).toBeUndefined();
  const server = await home.start();
  await until(() => /flc_anon_\w+/.test(server.stdout), { describe: "the demo's keys" });
  expect((await server.end("SIGTERM")).code).toBe(0);
});
