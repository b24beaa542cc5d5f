import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCommandLine, startCommandLine } from "../support/command-line.ts";
import type { CommandResult, RunningCommand } from "../support/command-line.ts";
import { createDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let folder = "";
const running: RunningCommand[] = [];

beforeEach(async () => {
  database = await createDatabase();
  folder = await mkdtemp(join(tmpdir(), "paperdb-cli-"));
});

afterEach(async () => {
  for (const command of running.splice(0)) await command.end("SIGKILL");
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

function environment(): Record<string, string> {
  return { DATABASE_URL: database.url, PAPERDB_DATA_DIR: join(folder, "data"), PORT: "0" };
}

function run(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  return runCommandLine(args, { env: { ...environment(), ...env }, cwd: folder });
}

async function start(env: Record<string, string> = {}): Promise<{ command: RunningCommand; url: string }> {
  const command = startCommandLine(["start"], { env: { ...environment(), ...env }, cwd: folder });
  running.push(command);
  await command.waitFor("PaperDB Realtime is running on");
  const url = /running on (\S+)/.exec(command.stdout)?.[1] ?? "";
  return { command, url };
}

/** The one line of a command that failed. */
function failure({ code, stdout, stderr }: CommandResult): string {
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).not.toMatch(/\bat .*\.[jt]s:\d+/);
  return stderr;
}

async function createKey(tenant: string): Promise<{ readonly id: string; readonly key: string }> {
  const { stdout } = await run(["keys", "create", tenant, "--json"]);
  const created: { readonly id: string; readonly key: string } = JSON.parse(stdout);
  return created;
}

async function subscribe(url: string, key: string): Promise<SseClient> {
  const client = await SseClient.open(`${url}/v1/events/subscribe?topic=news`, { apikey: key });
  expect(client.status).toBe(200);
  return client;
}

describe("--help", () => {
  test.each<[readonly string[], RegExp]>([
    [[], /start.*demo-write.*tenants.*keys.*doctor.*uninstall/s],
    [["start"], /Environment variables:.*PORT.*DATABASE_URL.*PAPERDB_CONFIG/s],
    [["demo-write"], /row a second/],
    [["tenants"], /list.*create.*set-plan.*delete/s],
    [["tenants", "list"], /--json/],
    [["tenants", "create"], /<id>.*--plan/s],
    [["tenants", "set-plan"], /<id> <plan>/],
    [["tenants", "delete"], /<id>/],
    [["keys"], /list.*create.*revoke/s],
    [["keys", "create"], /--role.*--collections.*--where/s],
    [["keys", "revoke"], /<tenant> <key-id>/],
    [["doctor"], /say what to fix/],
    [["uninstall"], /--tenants.*--yes/s],
  ])("%j", async (args, expected) => {
    const { code, stdout } = await run([...args, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(expected);
    expect(stdout).toMatch(/--config <file>/);
  });
});

describe("tenants and keys", () => {
  test("a tenant's life", async () => {
    expect(await run(["tenants", "create", "acme"])).toMatchObject({
      code: 0,
      stdout: "Created tenant acme on plan pro.\n",
    });
    expect((await run(["tenants", "create", "an other", "--plan", "free"])).code).toBe(0);
    expect((await run(["tenants", "list"])).stdout).toMatch(
      /^ID\s+PLAN\s+CREATED\nacme\s+pro\s.*\nan other\s+free\s.*\n$/,
    );
    expect((await run(["tenants", "set-plan", "acme", "team"])).code).toBe(0);
    expect((await run(["tenants", "delete", "an other"])).code).toBe(0);
    const { stdout } = await run(["tenants", "list", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ tenants: [{ id: "acme", plan: "team" }] });
  });

  test("a key's life: its text alone is on stdout", async () => {
    await run(["tenants", "create", "acme"]);
    const created = await run([
      "keys",
      "create",
      "acme",
      "--role",
      "secret",
      "--collections",
      "todos",
      "notes",
    ]);
    expect(created.stdout).toMatch(/^flc_secret_\w+\n$/);
    const id = /key_\w+/.exec(created.stderr)?.[0] ?? "";
    const listed = await run(["keys", "list", "acme"]);
    expect(listed.stdout).toMatch(new RegExp(`^ID.*\\n${id}\\s+secret\\s+todos, notes\\s`));
    expect(listed.stdout).not.toContain(created.stdout.trim());
    const json = await run(["keys", "create", "acme", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ role: "anon", key: expect.stringMatching(/^flc_anon_/) });
    const limited = await run(["keys", "create", "acme", "--where", '{"todos":{"owner":"ada"}}']);
    expect(limited.stdout).toMatch(/^flc_anon_/);
    expect((await run(["keys", "list", "acme"])).stdout).toContain('  {"todos":{"owner":"ada"}}  ');
    expect((await run(["keys", "revoke", "acme", id])).code).toBe(0);
    expect((await run(["keys", "list", "acme"])).stdout).not.toContain(id);
  });

  test.each<[readonly string[], RegExp]>([
    [["tenants", "set-plan", "none", "pro"], /There is no tenant "none": create it first/],
    [["tenants", "delete", "none"], /There is no tenant "none"/],
    [["tenants", "create", "a\nb"], /no control characters/],
    [["keys", "create", "none"], /There is no tenant "none"/],
    [["keys", "list", "none"], /There is no tenant "none"/],
    [["keys", "revoke", "none", "key_x"], /There is no tenant "none"/],
    [["tenants", "create", "a", "--plan", "gold"], /must be free, pro, team/],
    [["keys", "create", "a", "--role", "admin"], /must be anon, secret/],
    [["keys", "create", "a", "--where", "{"], /--where is not JSON/],
    [["keys", "create", "a", "--where", '{"todos":{"a":{"$near":1}}}'], /--where\.todos\.a\.\$near/],
    [["keys", "create", "a", "--collections", "b", "--where", '{"c":{}}'], /--where\.c is for a collection/],
    [["tenants", "list", "-c", "none.json"], /none\.json: .*there is no such file/],
  ])("%j fails in one line", async (args, expected) => {
    expect(failure(await run(args))).toMatch(expected);
  });
});

describe("start", () => {
  test("runs until SIGTERM, which ends its streams in order", async () => {
    const { command, url } = await start();
    expect(command.stdout).not.toMatch(/flc_|password/);
    const key = await run(["tenants", "create", "a"]).then(() => run(["keys", "create", "a"]));
    const client = await subscribe(url, key.stdout.trim());
    const { code, stderr } = await command.end("SIGTERM");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    await until(() => client.ended);
    expect(client.retryMs).toBeGreaterThan(0);
  });

  test("a second signal ends it at once", async () => {
    const { command } = await start();
    command.child.kill("SIGINT");
    const { code } = await command.end("SIGTERM");
    expect([130, 143]).toContain(code);
  });

  test("a key revoked by another process ends its connections within 1 s, a tenant moved to Free too", async () => {
    const { command, url } = await start();
    await run(["tenants", "create", "a"]);
    await run(["tenants", "create", "b"]);
    const one = await createKey("a");
    const two = await createKey("a");
    const three = await createKey("b");
    const [first, second, third] = await Promise.all([one, two, three].map(({ key }) => subscribe(url, key)));
    await run(["keys", "revoke", "a", one.id]);
    await until(() => first?.ended, { describe: "the revoked key's connection has ended" });
    await run(["tenants", "set-plan", "b", "free"]);
    await until(() => third?.ended, { describe: "the Free tenant's connection has ended" });
    expect(second?.ended).toBe(false);
    await run(["tenants", "delete", "a"]);
    await until(() => second?.ended, {
      describe: "the deleted tenant's connection has ended",
    });
    expect((await command.end("SIGTERM")).code).toBe(0);
  });

  test.each<[string, (url: URL) => void, RegExp]>([
    [
      "database",
      (url) => (url.pathname = "/nowhere"),
      /"nowhere" at .* cannot be used: there is no such database/,
    ],
    [
      "port",
      (url) => Object.assign(url, { port: "1", password: "hunter2" }),
      /cannot be used: nothing listens there/,
    ],
    [
      "host",
      (url) => Object.assign(url, { hostname: "nowhere.invalid", password: "hunter2" }),
      /cannot be used: .*host/,
    ],
    [
      "protocol",
      (url) => Object.assign(url, { href: "mysql://u:hunter2@h/d" }),
      /DATABASE_URL must be postgres:/,
    ],
  ])("a wrong %s in the URL is one line", async (_name, change, expected) => {
    const url = new URL(database.url);
    change(url);
    const line = failure(await run(["start"], { DATABASE_URL: url.href }));
    expect(line).toMatch(expected);
    expect(line).not.toContain("hunter2");
  });

  test("a port that is taken is one line", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? String(address?.port) : "";
    const line = failure(await run(["start"], { PORT: port }));
    expect(line).toMatch(new RegExp(`Port ${port} on 127.0.0.1 is taken`));
    other.close();
  });

  test("an unknown key in the file is one line", async () => {
    await writeFile(join(folder, "paperdb.config.json"), '{"plan": {}}');
    expect(failure(await run(["start"]))).toMatch(/paperdb\.config\.json: unknown key plan: .*plans/);
  });

  test("a collection whose table has no tenant column is one line", async () => {
    await database.query("create table notes (id integer primary key)");
    const sources = [{ kind: "postgres", collections: { notes: { table: "notes" } } }];
    await writeFile(join(folder, "mine.json"), JSON.stringify({ sources }));
    expect(failure(await run(["start", "--config", "mine.json"]))).toMatch(/notes.*tenant_id/);
  });
});

describe("demo-write", () => {
  test("writes rows until it is interrupted", async () => {
    await database.query(
      "create table todos (id bigint generated always as identity primary key, tenant_id text, title text)",
    );
    const command = startCommandLine(["demo-write"], { env: environment(), cwd: folder });
    running.push(command);
    await command.waitFor("todos 2: ");
    expect((await command.end("SIGINT")).code).toBe(0);
    const { rows } = await database.query<{ tenant: string }>(
      "select distinct tenant_id as tenant from todos",
    );
    expect(rows).toEqual([{ tenant: "demo" }]);
  });

  test("says what is missing without the demo", async () => {
    expect(failure(await run(["demo-write"]))).toMatch(/There is no table todos/);
  });
});

describe("doctor", () => {
  test("a usable database: exit code 0", async () => {
    await database.query(
      "create table todos (id integer primary key, tenant_id text); create table plain (id integer)",
    );
    const { code, stdout } = await run(["doctor"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Source postgres:\n.*ok .*PostgreSQL \d+/);
    expect(stdout).toMatch(/ok .*"todos" is a collection/);
    const json = await run(["doctor", "--json"]);
    const levels = {
      title: expect.any(String) as unknown,
      level: expect.stringMatching(/^(ok|warning)$/) as unknown,
    };
    const {
      sources,
    }: {
      readonly sources: readonly { readonly source: string; readonly findings: readonly unknown[] }[];
    } = JSON.parse(json.stdout);
    expect(sources.map(({ source }) => source)).toEqual(["postgres"]);
    expect(sources[0]?.findings.length).toBeGreaterThan(4);
    for (const finding of sources[0]?.findings ?? []) expect(finding).toMatchObject(levels);
    const created = await database.query("select 1 from pg_namespace where nspname = 'paperdb'");
    expect(created.rowCount).toBe(0);
  });

  test("one that cannot be reached: exit code 1, and a fix", async () => {
    const url = new URL(database.url);
    url.pathname = "/nowhere";
    const { code, stdout } = await run(["doctor"], { DATABASE_URL: url.href });
    expect(code).toBe(1);
    expect(stdout).toMatch(/error .*nowhere.*\n\s+→ /);
  });
});

describe("uninstall", () => {
  async function leftovers(): Promise<Record<string, number>> {
    const { rows } = await database.query<Record<string, number>>(
      `select (select count(*)::int from pg_trigger where not tgisinternal) as triggers,
              (select count(*)::int from pg_proc where pronamespace = (select oid from pg_namespace where nspname = 'paperdb')) as functions,
              (select count(*)::int from pg_namespace where nspname = 'paperdb') as schemas`,
    );
    return rows[0] ?? {};
  }

  async function installTriggers(): Promise<void> {
    const { command, url } = await start();
    await run(["tenants", "create", "a"]);
    const key = (await run(["keys", "create", "a"])).stdout.trim();
    const client = await SseClient.open(`${url}/v1/events/subscribe?collection=todos`, { apikey: key });
    await client.waitForEvent("ready");
    await command.end("SIGTERM");
  }

  test("asks first where it can be answered, else needs --yes", async () => {
    expect(failure(await run(["uninstall"]))).toMatch(/add --yes/);
  });

  test("leaves no trigger and no function, keeps rows, tenants and keys, and a later start works again", async () => {
    await database.query(
      "create table todos (id integer primary key, tenant_id text); insert into todos values (1, 'a')",
    );
    await installTriggers();
    expect((await leftovers())["triggers"]).toBeGreaterThan(0);
    const { code, stdout } = await run(["uninstall", "--yes"]);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("public.todos") });
    expect(await leftovers()).toEqual({ triggers: 0, functions: 0, schemas: 1 });
    expect((await database.query("select * from todos")).rowCount).toBe(1);
    expect((await run(["tenants", "list"])).stdout).toMatch(/^a /m);
    const { command, url } = await start();
    const { id, key } = await createKey("a");
    const client = await subscribe(url, key);
    await run(["keys", "revoke", "a", id]);
    await until(() => client.ended, { describe: "the revoked key's connection has ended" });
    await command.end("SIGTERM");
  });

  test("--tenants leaves nothing but the tables", async () => {
    await database.query("create table todos (id integer primary key, tenant_id text)");
    await installTriggers();
    expect((await run(["uninstall", "--yes", "--tenants"])).code).toBe(0);
    expect(await leftovers()).toEqual({ triggers: 0, functions: 0, schemas: 0 });
    expect((await database.query("select * from todos")).rowCount).toBe(0);
  });

  test("of a database that never had it", async () => {
    expect((await run(["uninstall", "--yes", "--tenants"])).code).toBe(0);
    expect(await leftovers()).toEqual({ triggers: 0, functions: 0, schemas: 0 });
  });
});
