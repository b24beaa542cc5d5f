import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "./config-error.ts";
import { loadConfig } from "./load-config.ts";
import type { Environment } from "./load-config.ts";

const folders: string[] = [];
let cwd = "";

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "paperdb-config-"));
  folders.push(cwd);
});

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function write(content: unknown, name = "paperdb.config.json"): void {
  writeFileSync(join(cwd, name), typeof content === "string" ? content : JSON.stringify(content));
}

function messageOf(env: Environment = {}): string {
  try {
    loadConfig(env, cwd);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "no error";
}

function oneSource(rest: object): object {
  return { sources: [{ kind: "postgres", ...rest }] };
}

describe("what applies", () => {
  test("nothing set: the documented defaults and the embedded database", () => {
    const config = loadConfig({}, cwd);
    expect(config).toMatchObject({
      port: 4000,
      host: "127.0.0.1",
      dataDir: join(cwd, "data"),
      pgPort: 5433,
      keyCacheMs: 30_000,
      plans: {
        free: { realtime: false },
        pro: { realtime: true, maxConnections: 10_000 },
        team: { realtime: true, maxConnections: 100_000 },
      },
      cors: { origins: ["*"] },
      connections: { heartbeatIntervalMs: 15_000 },
    });
    expect(config.adminKey).toBeUndefined();
    expect(config.plans.pro.publishesPerSecond).toBeUndefined();
    expect(config.sources).toEqual([
      {
        kind: "postgres",
        name: "postgres",
        url: "embedded",
        mode: "wal",
        slot: undefined,
        collections: undefined,
      },
    ]);
  });

  test("overrides win over the environment, which wins over the file, which wins over defaults", () => {
    write({ port: 1, host: "::1", pgPort: 2, dataDir: "elsewhere" });
    const config = loadConfig({ PORT: "3", PAPERDB_PG_PORT: "4" }, cwd, { port: 5 });
    expect([config.port, config.pgPort, config.host]).toEqual([5, 4, "::1"]);
    expect(config.dataDir).toBe(join(cwd, "elsewhere"));
  });

  test("an empty variable counts as absent", () => {
    const config = loadConfig({ PORT: "", DATABASE_URL: "", PAPERDB_CONFIG: "", MONGODB_URL: "" }, cwd);
    expect([config.port, config.sources[0]?.url]).toEqual([4000, "embedded"]);
  });

  test("the variables of later versions that do no harm are ignored", () => {
    const config = loadConfig({ NATS_URL: "nats://x", SOMETHING: "x" }, cwd);
    expect(config.port).toBe(4000);
  });

  test.each(["short", "new, old", "with spaces", "a,b,c"])("token secrets may be %j", (secret) => {
    expect(loadConfig({ PAPERDB_TOKEN_SECRET: secret }, cwd).tokenSecret).toBe(secret);
  });

  test("PAPERDB_CONFIG names another file, relative to the working folder", () => {
    write({ port: 1 });
    write({ port: 2 }, "other.json");
    expect(loadConfig({ PAPERDB_CONFIG: "other.json" }, cwd).port).toBe(2);
  });

  test("a group in the file keeps the defaults of what it does not name", () => {
    write({ plans: { pro: { maxConnections: 7 } }, history: { maxAgeMs: 5000 } });
    const config = loadConfig({}, cwd);
    expect(config.plans.pro).toEqual({ realtime: true, maxConnections: 7, maxTokenSeconds: 86_400 });
    expect(config.plans.team.maxConnections).toBe(100_000);
    expect(config.history).toMatchObject({ maxAgeMs: 5000, maxEventsPerChannel: 50_000 });
  });

  test("DATABASE_URL is the only source, and that of sources without a url", () => {
    const env = { DATABASE_URL: "postgres://u:p@h/d" };
    expect(loadConfig(env, cwd).sources.map((source) => source.url)).toEqual(["postgres://u:p@h/d"]);
    write({ sources: [{ kind: "postgres" }, { kind: "postgres", url: "embedded" }] });
    const sources = loadConfig(env, cwd).sources;
    expect(sources.map((source) => [source.name, source.url])).toEqual([
      ["postgres", "postgres://u:p@h/d"],
      ["postgres-2", "embedded"],
    ]);
  });

  test("collections are completed", () => {
    write({ sources: [{ kind: "postgres", collections: { todos: { table: "app.todos" } } }] });
    expect(loadConfig({}, cwd).sources[0]?.collections).toEqual({
      todos: { table: "app.todos", tenantColumn: "tenant_id", hide: [] },
    });
  });

  test("MONGODB_URL alone is the only source, and the embedded database has the keys", () => {
    const config = loadConfig({ MONGODB_URL: "mongodb://u:p@h:1,i:2/my%2Dapp?replicaSet=r" }, cwd);
    expect(config.sources).toEqual([
      {
        kind: "mongodb",
        name: "mongodb",
        url: "mongodb://u:p@h:1,i:2/my%2Dapp?replicaSet=r",
        database: "my-app",
        collections: undefined,
      },
    ]);
    expect(config.tenantsUrl).toBe("embedded");
  });

  test("both URLs are both sources, and PostgreSQL has the keys", () => {
    const config = loadConfig({ DATABASE_URL: "postgres://h/d", MONGODB_URL: "mongodb+srv://h/d" }, cwd);
    expect(config.sources.map(({ kind, url }) => [kind, url])).toEqual([
      ["postgres", "postgres://h/d"],
      ["mongodb", "mongodb+srv://h/d"],
    ]);
    expect(config.tenantsUrl).toBe("postgres://h/d");
  });

  test("a URL joins sources of the other kind, and is that of those of its kind without one", () => {
    const env = { DATABASE_URL: "postgres://h/d", MONGODB_URL: "mongodb://h/d" };
    write({
      sources: [
        { kind: "mongodb", database: "e" },
        { kind: "mongodb", url: "mongodb://i/f" },
      ],
    });
    const config = loadConfig(env, cwd);
    expect(config.sources.map((source) => [source.name, source.url])).toEqual([
      ["mongodb", "mongodb://h/d"],
      ["mongodb-2", "mongodb://i/f"],
      ["postgres", "postgres://h/d"],
    ]);
    expect(config.sources[0]).toMatchObject({ database: "e" });
    expect(config.tenantsUrl).toBe("postgres://h/d");
  });

  test("collections of MongoDB are completed", () => {
    write({
      sources: [
        { kind: "mongodb", url: "mongodb://h/d", collections: { notes: { collection: "app.notes" } } },
      ],
    });
    expect(loadConfig({}, cwd).sources[0]?.collections).toEqual({
      notes: { collection: "app.notes", tenantField: "tenantId", hide: [] },
    });
  });

  test("it is frozen in depth", () => {
    const config = loadConfig({}, cwd);
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.plans.pro)).toBe(true);
    expect(Object.isFrozen(config.sources)).toBe(true);
    expect(Object.isFrozen(config.sources[0])).toBe(true);
  });
});

describe("what is refused, in one line that names the key and the fix", () => {
  test.each<[string, unknown, RegExp]>([
    ["an unknown key", { prot: 1 }, /^paperdb\.config\.json: unknown key prot: .*Known here: port, host/],
    [
      "a nested unknown key",
      { plans: { pro: { rate: 1 } } },
      /unknown key plans\.pro\.rate: .*maxConnections/,
    ],
    ["an unknown plan", { plans: { gold: {} } }, /unknown key plans\.gold: .*free, pro, team/],
    ["a wrong type", { port: "4000" }, /: port must be a whole number from 0 to 65535\.$/],
    ["a number out of range", { port: 65_536 }, /: port must be a whole number from 0 to 65535\.$/],
    ["a fraction", { history: { maxAgeMs: 1000.5 } }, /history\.maxAgeMs must be a whole number from 1000/],
    ["null", { host: null }, /: host must be text\.$/],
    ["empty text", { host: "" }, /: host must not be empty\.$/],
    ["a wrong word", { logLevel: "loud" }, /: logLevel must be "trace" or "debug"/],
    ["a list in place of an object", { cors: [] }, /: cors must be an object\.$/],
    ["no sources", { sources: [] }, /: sources must not be empty\.$/],
    [
      "a MongoDB source without a URL",
      { sources: [{ kind: "mongodb", database: "y" }] },
      /sources\[0\]: names no server: add "url", or set MONGODB_URL\.$/,
    ],
    [
      "a MongoDB source without a database",
      { sources: [{ kind: "mongodb", url: "mongodb://h:1/?a=b" }] },
      /sources\[0\]\.url names no database: add it as the path/,
    ],
    [
      "another protocol for MongoDB",
      { sources: [{ kind: "mongodb", url: "postgres://h/d" }] },
      /sources\[0\]\.url must be mongodb:\/\//,
    ],
    [
      "what another kind of source has",
      { sources: [{ kind: "mongodb", url: "mongodb://h/d", mode: "wal" }] },
      /: sources\[0\]\.mode is for kind "postgres", and this is of kind "mongodb": remove it\. Known here: kind, name, url, database, collections\.$/,
    ],
    [
      "what a source of PostgreSQL has not",
      oneSource({ mode: "wal", database: "d", nonsense: 1 }),
      /: sources\[0\]\.database is for kind "mongodb", and this is of kind "postgres": remove it\. Known here: kind, name, url, mode, slot, collections\.$/,
    ],
    [
      "what no source has",
      { sources: [{ kind: "mongodb", url: "mongodb://h/d", modus: "wal" }] },
      /: unknown key sources\[0\]\.modus: correct its name or remove it\. Known here: /,
    ],
    [
      "what a table has, of a MongoDB collection",
      {
        sources: [
          {
            kind: "mongodb",
            url: "mongodb://h/d",
            collections: { a: { collection: "a", tenantColumn: "t" } },
          },
        ],
      },
      /: unknown key sources\[0\]\.collections\.a\.tenantColumn: correct its name or remove it\. Known here: collection, tenantField, hide\.$/,
    ],
    [
      "a MongoDB collection as a table",
      { sources: [{ kind: "mongodb", url: "mongodb://h/d", collections: { a: { table: "t" } } }] },
      /sources\[0\]\.collections\.a\.collection must be text/,
    ],
    [
      "a tenant field that is an operator",
      {
        sources: [
          {
            kind: "mongodb",
            url: "mongodb://h/d",
            collections: { a: { collection: "a", tenantField: "$where" } },
          },
        ],
      },
      /tenantField must be a field's name/,
    ],
    [
      "a slot's name that PostgreSQL refuses",
      oneSource({ mode: "wal", slot: "My-Slot" }),
      /sources\[0\]\.slot must be 1 to 63/,
    ],
    [
      "a kind that is none",
      { sources: [{ kind: "mysql" }] },
      /sources\[0\]\.kind must be "postgres" or "mongodb"\.$/,
    ],
    [
      "another protocol",
      oneSource({ url: "mysql://h/d" }),
      /sources\[0\]\.url must be "embedded" or postgres:\/\//,
    ],
    [
      "a table not named",
      oneSource({ collections: { todos: {} } }),
      /sources\[0\]\.collections\.todos\.table must be text/,
    ],
    ["a collection without name", oneSource({ collections: { "": { table: "t" } } }), /is not a valid name/],
    [
      "two sources of one name",
      {
        sources: [
          { kind: "postgres", url: "embedded", name: "a" },
          { kind: "postgres", url: "postgres://h/d", name: "a" },
        ],
      },
      /sources\[1\]: the source name "a" is there twice/,
    ],
    [
      "one collection in two sources",
      {
        sources: [
          { kind: "postgres", url: "embedded", collections: { todos: { table: "t" } } },
          { kind: "postgres", url: "postgres://h/d", collections: { todos: { table: "u" } } },
        ],
      },
      /sources\[1\]: the collection "todos" is in two sources: rename/,
    ],
    [
      "two tenant columns for one table",
      oneSource({ collections: { a: { table: "t" }, b: { table: 'public."t"', tenantColumn: "org" } } }),
      /sources\[0\]: the collection "b" takes its tenants from "org", .* from "tenant_id": give both the same tenantColumn/,
    ],
    [
      "two collections of one name",
      '{"sources":[{"kind":"postgres","collections":{"a":{"table":"t"},"b":{"table":"x"},"\\u0061":{"table":"u"}}}]}',
      /sources\[0\]\.collections\.a is there twice: remove or rename/,
    ],
    ["an array", [], /must be a JSON object/],
    ["a trailing comma", '{\n  "port": 1,\n}', /is not valid JSON: see line 3, column 1\.$/],
    ["an end too early", '{"port": 1', /is not valid JSON: /],
    ["a comment", "{ // no\n}", /is not valid JSON: /],
  ])("%s", (_name, content, expected) => {
    write(content);
    const message = messageOf();
    expect(message).toMatch(expected);
    expect(message).not.toContain("\n");
  });

  test.each<[string, Environment, RegExp]>([
    ["PORT", { PORT: "80x" }, /^The environment variable PORT must be a whole number from 0 to 65535\.$/],
    ["PORT out of range", { PORT: "70000" }, /^The environment variable PORT must be/],
    [
      "DATABASE_URL",
      { DATABASE_URL: "localhost" },
      /^The environment variable DATABASE_URL must be postgres:/,
    ],
    [
      "PAPERDB_TOKEN_SECRET",
      { PAPERDB_TOKEN_SECRET: "hunter2,,old" },
      /^The environment variable PAPERDB_TOKEN_SECRET must be a secret, or several(?!.*hunter2)/,
    ],
    ["PAPERDB_ADMIN_KEY", { PAPERDB_ADMIN_KEY: "two words" }, /PAPERDB_ADMIN_KEY must be printable ASCII/],
    ["MONGODB_URL", { MONGODB_URL: "localhost" }, /^The environment variable MONGODB_URL must be mongodb:/],
    [
      "MONGODB_URL without a database",
      { MONGODB_URL: "mongodb://h:1,i:2/?replicaSet=r" },
      /^The environment variable MONGODB_URL names no database: add it as the path/,
    ],
    ["a file that is not there", { PAPERDB_CONFIG: "none.json" }, /^none\.json: .*there is no such file/],
    ["a file that is a folder", { PAPERDB_CONFIG: "." }, /^\.: cannot be read, EISDIR/],
  ])("%s", (_name, env, expected) => {
    expect(messageOf(env)).toMatch(expected);
  });

  test("a value is never quoted: it may be a password", () => {
    expect(messageOf({ DATABASE_URL: "psql://u:hunter2@h/d" })).not.toContain("hunter2");
    write('{"databaseUrl": "postgres://u:hunter2@h/d" "port": 1}');
    expect(messageOf()).toMatch(/not valid JSON/);
    expect(messageOf()).not.toContain("hunter2");
  });
});
