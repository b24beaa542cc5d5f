import { afterEach, beforeEach, expect, it } from "vitest";
import { createDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { startTestServer } from "../support/realtime-server.ts";
import type { TestServer, TestTenant } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const settings = { sources: [{ kind: "postgres" as const, mode: "wal" as const }] };
let database: TestDatabase;
let server: TestServer;
let tenant: TestTenant;

beforeEach(async () => {
  database = await createDatabase();
  await database.query("create table public.todos (id int primary key, tenant_id text, title text)");
  server = await startTestServer(settings, database);
  await untilReady();
  tenant = await server.createTenant("alice");
});

afterEach(async () => {
  await server.close();
  await database.drop();
});

const readiness = async () => {
  const response = await fetch(`${server.url}/readyz`);
  return { status: response.status, text: await response.text() };
};

/** Making a slot waits for open transactions, those of tests beside this one too. */
async function untilReady(): Promise<void> {
  await until(async () => (await readiness()).status === 200);
}

const idsOf = ({ changes }: SseClient) => changes.map(({ documentId }) => documentId);

it("delivers rows and published events, and shows the slot's lag", async () => {
  const rows = await server.watch("todos", tenant.anonKey);
  const topics = await server.subscribe({ topic: "order.*" }, tenant.anonKey);
  await topics.waitForEvent("ready");
  await database.query(
    `begin; insert into public.todos values (1, 'alice', 'mine'), (2, 'bob', 'his');
     select paperdb.publish('alice', 'order.created', '{"id": 1}'); commit`,
  );
  await rows.waitForMessages(1);
  await topics.waitForMessages(1);
  expect(idsOf(rows)).toEqual(["1"]);
  expect(topics.events.at(-1)?.data).toBe('{"topic":"order.created","data":{"id":1}}');
  for (const metric of ["lag", "kept"]) {
    const pattern = new RegExp(`^paperdb_replication_slot_${metric}_bytes\\{source="postgres"\\} \\d+$`, "m");
    await until(async () => pattern.test(await (await fetch(`${server.url}/metrics`)).text()));
  }
});

it("keeps its clients through an outage of the stream: nothing is missed, repeated or reset", async () => {
  const client = await server.watch("todos", tenant.anonKey);
  for (let id = 1; id <= 20; id++) {
    await database.query("insert into public.todos values ($1, 'alice', '')", [id]);
    if (id % 5 !== 0) continue;
    await database.query(
      "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()",
    );
  }
  await client.waitForMessages(20);
  expect(idsOf(client)).toEqual(Array.from({ length: 20 }, (_, index) => String(index + 1)));
  expect(client.events.map(({ event }) => event)).not.toContain("reset");
});

it("resumes within a run and after a restart, and shows what was missed, once", async () => {
  const first = await server.watch("todos", tenant.anonKey);
  await database.query("insert into public.todos values (1, 'alice', '')");
  await first.waitForMessages(1);
  first.close();
  const cursor = first.lastEventId;
  await database.query("insert into public.todos values (2, 'alice', '')");
  const second = await server.subscribe({ collection: "todos", cursor }, tenant.anonKey);
  await second.waitForMessages(1);
  expect(idsOf(second)).toEqual(["2"]);
  expect(JSON.parse((await second.waitForEvent("ready")).data)).toMatchObject({ resumed: true });
  await server.close();
  await database.query("insert into public.todos values (3, 'alice', '')");
  server = await startTestServer(settings, database);
  await untilReady();
  const third = await server.subscribe({ collection: "todos", cursor: second.lastEventId }, tenant.anonKey);
  expect(JSON.parse((await third.waitForEvent("ready")).data)).toMatchObject({ resumed: true });
  await database.query("insert into public.todos values (4, 'alice', '')");
  await third.waitForMessages(2);
  expect(idsOf(third)).toEqual(["3", "4"]);
  expect(third.events.map(({ event }) => event)).not.toContain("reset");
});

it("stands by while another server has the slot, and takes over", async () => {
  const second = await startTestServer(settings, database);
  try {
    const waiting = await fetch(`${second.url}/readyz`);
    expect(waiting.status).toBe(503);
    expect(await waiting.text()).toMatch(/in use by another server/);
    expect((await second.subscribe({ collection: "todos" }, tenant.anonKey)).status).toBe(503);
    await server.close();
    await until(async () => (await fetch(`${second.url}/readyz`)).status === 200);
    const client = await second.watch("todos", tenant.anonKey);
    await database.query("insert into public.todos values (1, 'alice', '')");
    await client.waitForMessages(1);
  } finally {
    await second.close();
  }
});

it("lets a client whose channel was quiet for longer than the history go on after a restart", async () => {
  await server.close();
  const history = { maxAgeMs: 5_000 };
  server = await startTestServer(
    { ...settings, history, connections: { heartbeatIntervalMs: 100 } },
    database,
  );
  await untilReady();
  const first = await server.watch("todos", tenant.anonKey);
  const { rows } = await database.query<{ head: string }>("select pg_current_wal_insert_lsn()::text as head");
  let id = 0;
  await until(
    async () => {
      await database.query("insert into public.todos values ($1, 'bob', '')", [(id += 1)]);
      const confirmed = await database.query<{ beyond: boolean }>(
        "select confirmed_flush_lsn > $1::pg_lsn as beyond from pg_replication_slots where database = current_database()",
        [rows[0]?.head],
      );
      return confirmed.rows[0]?.beyond;
    },
    { intervalMs: 100 },
  );
  const { lastEventId } = first;
  await until(async () => {
    await database.query("insert into public.todos values ($1, 'bob', '')", [(id += 1)]);
    return first.lastEventId > lastEventId;
  });
  await server.close();
  await database.query("insert into public.todos values (0, 'alice', '')");
  server = await startTestServer(settings, database);
  await untilReady();
  const second = await server.subscribe({ collection: "todos", cursor: first.lastEventId }, tenant.anonKey);
  expect(JSON.parse((await second.waitForEvent("ready")).data)).toMatchObject({ resumed: true });
  await second.waitForMessages(1);
  expect(idsOf(second)).toEqual(["0"]);
});
