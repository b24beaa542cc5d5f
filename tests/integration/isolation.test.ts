import fc from "fast-check";
import { escapeIdentifier } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { notifyChannel } from "../../packages/server/src/source/postgres/channels.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.close());

async function createTable(schema: string, table: string): Promise<string> {
  const [quotedSchema, quotedTable] = [escapeIdentifier(schema), escapeIdentifier(table)];
  await server.database.query(`create schema if not exists ${quotedSchema}`);
  await server.database.query(
    `create table ${quotedSchema}.${quotedTable} (id bigint generated always as identity primary key, tenant_id text, title text)`,
  );
  return `${quotedSchema}.${quotedTable}`;
}

/** Once the collection is known; live. */
async function watchNew(collection: string, tenant: TestTenant): Promise<SseClient> {
  const client = await until(
    async () => {
      const attempt = await server.subscribe({ collection }, tenant.anonKey);
      return attempt.status === 200 ? attempt : undefined;
    },
    { describe: `the collection ${JSON.stringify(collection)}` },
  );
  await client.waitForEvent("ready");
  return client;
}

/** Every tenant of a document that this client was given. */
function tenantsSeenBy(client: SseClient): string[] {
  return [...new Set(client.changes.map(({ document }) => String(document["tenant_id"])))];
}

const HOSTILE_NAMES = [
  `it's`,
  `say "hi"`,
  `a:b`,
  `b:c`,
  `*`,
  `%`,
  `%s%n%I`,
  `a.b`,
  `...`,
  `$1`,
  `\\`,
  `'; drop table paperdb.tenants; --`,
  `{"tenant":"bob"}`,
  `>`,
  `<script>`,
  `日本語`,
  `🦊`,
  `e\u0301`,
  `\u00e9`,
  `K`,
  `k`,
  `ſ`,
  ` leading`,
  `trailing `,
  `null`,
  `undefined`,
  `__proto__`,
  `constructor`,
  `#1.1:0:1:`,
  `@1`,
  "x".repeat(200),
  "y".repeat(199),
  "é".repeat(200),
];

describe("hostile tenant ids", () => {
  it("get their own documents, and nobody else's", async () => {
    const name = await createTable("public", "notes");
    const tenants = await Promise.all(HOSTILE_NAMES.map((id) => server.createTenant(id)));
    const clients = new Map<string, SseClient>();
    for (const tenant of tenants) clients.set(tenant.id, await watchNew("notes", tenant));
    await server.database.query(
      `insert into ${name} (tenant_id, title) select tenant, 'first' from unnest($1::text[]) as tenant`,
      [HOSTILE_NAMES],
    );
    await server.database.query(`update ${name} set title = 'last'`);
    for (const [id, client] of clients) {
      await client.waitForMessages(2);
      expect(
        client.changes.map(({ type, document }) => [type, document["tenant_id"], document["title"]]),
      ).toEqual([
        ["insert", id, "first"],
        ["update", id, "last"],
      ]);
    }
  });

  it.each([
    ["empty", ""],
    ["201 characters", "x".repeat(201)],
    ["with a line feed", "a\nb"],
    ["with NUL", "a\u0000b"],
  ])("that are %s are refused", async (_name, id) => {
    expect((await server.admin("POST", "tenants", { id, plan: "pro" })).status).toBe(400);
  });
});

describe("hostile table names", () => {
  // PostgreSQL cuts identifiers at 63 bytes.
  const names = HOSTILE_NAMES.filter((name) => Buffer.byteLength(name) <= 63);

  it("deliver each table's rows to its own subscribers", async () => {
    const alice = await server.createTenant("alice");
    const bob = await server.createTenant("bob");
    const watched: { readonly table: string; readonly client: SseClient; readonly other: SseClient }[] = [];
    const quoted = new Map<string, string>();
    for (const table of names) quoted.set(table, await createTable("public", table));
    for (const table of names) {
      watched.push({ table, client: await watchNew(table, alice), other: await watchNew(table, bob) });
    }
    for (const [table, name] of quoted) {
      await server.database.query(
        `insert into ${name} (tenant_id, title) values ('alice', $1), ('bob', $1)`,
        [table],
      );
    }
    for (const { table, client, other } of watched) {
      await client.waitForMessages(1);
      await other.waitForMessages(1);
      expect(client.changes.map(({ document }) => document["title"])).toEqual([table]);
      expect([tenantsSeenBy(client), tenantsSeenBy(other)]).toEqual([["alice"], ["bob"]]);
    }
  });
});

describe("two channels with one hash", () => {
  it("are told apart by what the payload says", async () => {
    const [short, long] = [await createTable("s", "a"), await createTable("s", "a:b")];
    const ofShort = await server.createTenant("b:c:d");
    const ofLong = await server.createTenant("c:d");
    expect(notifyChannel({ schema: "s", table: "a" }, ofShort.id)).toBe(
      notifyChannel({ schema: "s", table: "a:b" }, ofLong.id),
    );
    const shortClient = await watchNew("s.a", ofShort);
    const longClient = await watchNew("s.a:b", ofLong);
    const strangers = [await watchNew("s.a", ofLong), await watchNew("s.a:b", ofShort)];
    await server.database.query(`insert into ${short} (tenant_id, title) values ('b:c:d', 'short')`);
    await server.database.query(`insert into ${long} (tenant_id, title) values ('c:d', 'long')`);
    for (const [client, title] of [
      [shortClient, "short"],
      [longClient, "long"],
    ] as const) {
      await client.waitForMessages(1);
      expect(client.changes.map(({ document }) => document["title"])).toEqual([title]);
    }
    // The hash is shared, so what is LISTENed is too: one that leaves must not silence the other.
    shortClient.close();
    for (const title of ["two", "three"]) {
      await server.database.query(`insert into ${long} (tenant_id, title) values ('c:d', $1)`, [title]);
    }
    await longClient.waitForMessages(3);
    for (const stranger of strangers) expect(stranger.messages).toEqual([]);
  });
});

describe("a role that is not the server's", () => {
  it("cannot send one tenant's document to another, and garbage does no harm", async () => {
    const name = await createTable("public", "forged");
    const eve = await server.createTenant("eve");
    const mallory = await server.createTenant("mallory");
    const victim = await watchNew("forged", eve);
    const other = await watchNew("forged", mallory);
    const { rows } = await server.database.query<{ oid: string }>(
      "select 'forged'::regclass::oid::text as oid",
    );
    const oid = Number(rows[0]?.oid);
    const payload = (tenant: unknown, table: unknown = oid): string =>
      `${JSON.stringify(["i", 0, "1.1", table, tenant, "1", 0])}\n${JSON.stringify({ id: 1, tenant_id: tenant, title: "forged" })}`;
    const evesChannel = notifyChannel({ schema: "public", table: "forged" }, "eve");
    const role = `stranger_${process.pid}`;
    const connection = await server.database.pool.connect();
    try {
      await connection.query(`create role ${role}`);
      await connection.query(`set role ${role}`);
      for (const [channel, text] of [
        [evesChannel, payload("mallory")],
        [evesChannel, payload("eve", oid + 1)],
        [evesChannel, payload(["eve"])],
        [evesChannel, payload("eve").slice(0, -1)],
        [evesChannel, ""],
        [evesChannel, "#"],
        [evesChannel, "#1.1:0:2:AAAA"],
        [evesChannel, "#1.1:5:2:AAAA"],
        [evesChannel, "@99999999999999999999999"],
        [evesChannel, "@1"],
        [evesChannel, "null\n{}"],
        ["flc_rt_control", "rubbish"],
        ["flc_rt_control", "[]"],
        ["flc_rt_publish", payload("eve")],
        ["flc_rt_publish", `["p",0,1,0,"eve","a b",0]\n1`],
      ] as const) {
        await connection.query("select pg_notify($1, $2)", [channel, text]);
      }
    } finally {
      await connection.query("reset role");
      await connection.query(`drop role if exists ${role}`);
      connection.release();
    }
    await server.database.query(
      `insert into ${name} (tenant_id, title) values ('eve', 'real'), ('mallory', 'real')`,
    );
    await until(() => [victim, other].every((client) => JSON.stringify(client.messages).includes("real")));
    expect(tenantsSeenBy(victim)).toEqual(["eve"]);
    expect(tenantsSeenBy(other)).toEqual(["mallory"]);
    expect(victim.changes.map(({ document }) => document["title"])).toEqual(["real"]);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });
});

describe("tenants at once under load", () => {
  it("see their own documents only, whatever is written and moved", async () => {
    const name = await createTable("public", "shared");
    const ids = ["left", "right"];
    const tenants = await Promise.all(ids.map((id) => server.createTenant(id)));
    const clients = await Promise.all(tenants.map((tenant) => watchNew("shared", tenant)));
    const [left, right] = tenants;
    if (left === undefined || right === undefined) throw new Error("two tenants");
    const tenantArbitrary = fc.constantFrom(...ids, null, "nobody");
    const writeArbitrary = fc.oneof(
      fc.record({
        kind: fc.constant("insert" as const),
        tenant: tenantArbitrary,
        size: fc.constantFrom(10, 9_000, 40_000),
      }),
      fc.record({ kind: fc.constant("move" as const), tenant: tenantArbitrary, size: fc.constant(0) }),
      fc.record({
        kind: fc.constant("update" as const),
        tenant: tenantArbitrary,
        size: fc.constantFrom(5, 9_000),
      }),
      fc.record({ kind: fc.constant("delete" as const), tenant: tenantArbitrary, size: fc.constant(0) }),
    );
    const pick = `(select id from ${name} where tenant_id is not distinct from $1 order by random() limit 1 for update skip locked)`;
    const statements = {
      insert: [`insert into ${name} (tenant_id, title) values ($1, repeat('x', $2::int))`],
      update: [`update ${name} set title = repeat('y', $2::int) where id = ${pick}`],
      move: [
        `update ${name} set tenant_id = case tenant_id when 'left' then 'right' else 'left' end, title = 'moved' where id = ${pick} and $2::int = 0`,
      ],
      delete: [`delete from ${name} where id = ${pick} and $2::int = 0`],
    };
    const briefly: SseClient[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(writeArbitrary, { minLength: 5, maxLength: 25 }), { minLength: 4, maxLength: 4 }),
        async (writers) => {
          const passing = await watchNew("shared", left);
          briefly.push(passing);
          await Promise.all(
            writers.map(async (writes) => {
              for (const { kind, tenant, size } of writes) {
                await server.database.query(statements[kind].join(""), [tenant, size]);
              }
            }),
          );
          passing.close();
        },
      ),
      { numRuns: 12 },
    );
    await server.database.query(
      `insert into ${name} (tenant_id, title) values ('left', 'end'), ('right', 'end')`,
    );
    for (const [index, client] of clients.entries()) {
      await until(() => client.changes.at(-1)?.document["title"] === "end");
      expect(tenantsSeenBy(client)).toEqual([ids[index]]);
      expect(client.named("reset")).toEqual([]);
      const { rows } = await server.database.query<{ id: string }>(
        `select id::text as id from ${name} where tenant_id = $1 order by shared.id`,
        [ids[index]],
      );
      expect(idsLeft(client)).toEqual(rows.map(({ id }) => id));
    }
    expect(new Set(briefly.flatMap(tenantsSeenBy))).toEqual(new Set(["left"]));
  });
});

/** The documents that exist after all changes, as a subscriber reckons. */
function idsLeft(client: SseClient): string[] {
  const present = new Set<string>();
  for (const { type, documentId } of client.changes) {
    if (type === "delete") expect(present.delete(documentId)).toBe(true);
    else if (type === "insert") expect(present.size).toBeLessThan(present.add(documentId).size);
    else expect(present.has(documentId)).toBe(true);
  }
  return [...present].toSorted((a, b) => Number(a) - Number(b));
}
