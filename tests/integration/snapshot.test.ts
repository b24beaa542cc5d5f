import { afterEach, describe, expect, it } from "vitest";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startTestServer } from "../support/realtime-server.ts";
import type { TestServer, TestTenant } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { StrictState } from "../support/snapshots.ts";
import { sseState } from "../support/sse-state.ts";
import { until } from "../support/until.ts";

let server: TestServer;
let tenant: TestTenant;

afterEach(() => server.close());

async function start(mode: "notify" | "wal", settings: ConfigInput = {}): Promise<void> {
  server = await startTestServer({ sources: [{ kind: "postgres", mode, slot: slotName() }], ...settings });
  await query("create table public.todos (id int primary key, tenant_id text, n int, body text)");
  tenant = await server.createTenant("a");
  // A slot waits for transactions of tests beside this one, and the table has to be noticed.
  await until(async () => {
    const probe = await server.subscribe({ collection: "todos" }, tenant.anonKey);
    probe.close();
    return probe.status === 200;
  });
}

const query = (sql: string, params?: readonly unknown[]) => server.database.query(sql, params);
const subscribe = (headers: Record<string, string> = {}) =>
  server.subscribe({ collection: "todos", snapshot: "true" }, tenant.anonKey, headers);
const slotName = (): string => `test_${Math.random().toString(36).slice(2, 12)}`;

/** What a client of the stream holds after all that it got. */
const stateOf = (client: SseClient): StrictState => sseState(client, () => new StrictState());
const idsOf = (client: SseClient): readonly string[] => [...stateOf(client).documents.keys()].toSorted();

describe.each(["notify", "wal"] as const)("a snapshot in mode %s", (mode) => {
  it("sends the documents in batches, ready, and then the changes", async () => {
    await start(mode, { snapshots: { batchRows: 10 } });
    await query(
      "insert into todos select i, case when i <= 25 then 'a' else 'b' end, 1, 'x' from generate_series(1, 30) i",
    );
    const client = await subscribe();
    const ready = await client.waitForEvent("ready");
    expect(client.events.map(({ event }) => event)).toEqual(["snapshot", "snapshot", "snapshot", "ready"]);
    expect(client.events.slice(0, 3).map(({ id }) => id)).toEqual([undefined, undefined, undefined]);
    expect(JSON.parse(ready.data)).toEqual({ cursor: ready.id, resumed: false });
    await query("update todos set n = 2 where id = 7");
    await client.waitForMessages(1);
    expect(stateOf(client).documents.get("7")).toEqual({ id: 7, tenant_id: "a", n: 2, body: "x" });
    expect(stateOf(client).documents.size).toBe(25);
  });

  it("sends one without documents of a collection that has none", async () => {
    await start(mode);
    const client = await subscribe();
    await client.waitForEvent("ready");
    expect(client.events.map(({ data }) => data)[0]).toBe('{"documents":[],"documentIds":[]}');
  });

  it("goes on from a usable cursor without a snapshot, and begins anew from another", async () => {
    await start(mode);
    await query("insert into todos values (1, 'a', 1)");
    const first = await subscribe();
    const { id } = await first.waitForEvent("ready");
    first.close();
    await query("insert into todos values (2, 'a', 1)");
    const resumed = await subscribe({ "last-event-id": id ?? "" });
    await resumed.waitForMessages(1);
    expect(resumed.events.map(({ event }) => event)).toEqual(["ready", undefined]);
    const other = await subscribe({ "last-event-id": "nonsense" });
    await other.waitForEvent("ready");
    expect(other.events.map(({ event }) => event)).toEqual(["reset", "snapshot", "ready"]);
    expect(idsOf(other)).toEqual(["1", "2"]);
  });

  it("comes again after a reset", async () => {
    await start(mode);
    await query("insert into todos values (1, 'a', 1)");
    const client = await subscribe();
    await client.waitForEvent("ready");
    await query("truncate todos; insert into todos values (2, 'a', 1)");
    await client.waitForEvent("ready", 2);
    await until(() => idsOf(client).join() === "2", { describe: () => JSON.stringify(client.events) });
    const names = client.events.map(({ event }) => event ?? "change");
    expect(names.slice(0, 4)).toEqual(["snapshot", "ready", "reset", "snapshot"]);
  });

  it("meets the changes exactly, for many clients, while many write", async () => {
    await start(mode, { snapshots: { batchRows: 7 } });
    await query("insert into todos select i, 'a', 1, 'x' from generate_series(1, 60) i");
    const stop = new AbortController();
    const writers = [0, 1, 2].map((writer) => write(writer, stop.signal));
    const clients: SseClient[] = [];
    try {
      for (let round = 0; round < 6; round++) {
        clients.push(...(await Promise.all([1, 2, 3, 4].map(() => subscribe()))));
      }
      for (const client of clients) await client.waitForEvent("ready");
    } finally {
      stop.abort();
      await Promise.all(writers);
    }
    await query("insert into todos values (1000, 'a', 1)");
    const expected = (await query("select id, n from todos where tenant_id = 'a'")).rows;
    for (const client of clients) {
      await until(() => client.changes.some(({ documentId }) => documentId === "1000"));
      const { documents } = stateOf(client);
      expect(documents.size).toBe(expected.length);
      for (const { id, n } of expected) expect(documents.get(String(id))?.["n"]).toBe(n);
    }
  });

  it("disconnects a client that does not read, and lets the database go", async () => {
    await start(mode, { snapshotTimeoutMs: 5_000, snapshots: { maxBufferedBytes: 1_048_576 } });
    await query(
      "insert into todos select i, 'a', 1, repeat(md5(i::text), 100) from generate_series(1, 20000) i",
    );
    const client = await subscribe();
    client.pause();
    const isHeld = async (): Promise<boolean> =>
      (
        await query(
          "select from pg_stat_activity where datname = current_database() and application_name like '%snapshots' and backend_xmin is not null",
        )
      ).rowCount !== 0;
    await until(isHeld, { describe: "a snapshot that is held" });
    await until(async () => !(await isHeld()), { describe: "the snapshot to be let go" });
    await until(
      async () => /slow_consumers\S* 1\b/.test(await (await fetch(`${server.url}/metrics`)).text()),
      { describe: "a slow consumer" },
    );
    client.close();
  });

  it("gives a snapshot up whose client leaves", async () => {
    await start(mode);
    await query(
      "insert into todos select i, 'a', 1, repeat(md5(i::text), 100) from generate_series(1, 20000) i",
    );
    const client = await subscribe();
    client.pause();
    client.close();
    await until(
      async () =>
        (
          await query(
            "select from pg_stat_activity where datname = current_database() and application_name like '%snapshots' and backend_xmin is not null",
          )
        ).rowCount === 0,
    );
  });

  it("is not waited for by one whose key is revoked meanwhile", async () => {
    await start(mode);
    const watcher = await server.watch("todos", tenant.anonKey);
    const { id, key } = await server.createKey(tenant.id, { role: "anon" });
    const locker = await server.database.pool.connect();
    try {
      await locker.query("begin; lock table todos in access exclusive mode");
      const waiting = server.subscribe({ collection: "todos", snapshot: "true" }, key);
      await until(
        async () =>
          (
            await query(
              "select from pg_stat_activity where datname = current_database() and application_name like '%snapshots' and wait_event_type = 'Lock'",
            )
          ).rowCount === 1,
        { describe: "a snapshot that waits" },
      );
      await server.admin("DELETE", `tenants/${tenant.id}/keys/${id}`);
      const refused = await waiting;
      await refused.waitForEnd();
      expect([refused.status, refused.problem.code]).toEqual([401, "key_revoked"]);
    } finally {
      locker.release(true);
    }
    watcher.close();
  });

  it("ends where the documents cannot be had, and never says ready", async () => {
    await start(mode, { wal: { maxDocumentBytes: 1_024 }, notify: { maxDocumentBytes: 1_024 } });
    await query("insert into todos values (1, 'a', 1, 'small'), (2, 'a', 1, repeat('x', 2000))");
    const client = await subscribe();
    await client.waitForEnd();
    expect(client.named("ready")).toEqual([]);
  });
});

/** Changes rows of its own, each one's `n` growing with each. */
async function write(writer: number, signal: AbortSignal): Promise<void> {
  const client = await server.database.pool.connect();
  const own = (): string => String(writer * 20 + 1 + Math.floor(Math.random() * 20));
  try {
    while (!signal.aborted) {
      await client.query("begin");
      for (let count = Math.random() * 3; count > 0; count--) {
        const statements = [
          `update public.todos set n = n + 1 where id = ${own()}`,
          `update public.todos set n = n + 1, tenant_id = case tenant_id when 'a' then 'b' else 'a' end where id = ${own()}`,
          `delete from public.todos where id = ${own()}`,
          `insert into public.todos values (${own()}, 'a', 1) on conflict do nothing`,
        ];
        await client.query(statements[Math.floor(Math.random() * statements.length)] ?? "");
      }
      await client.query(Math.random() < 0.2 ? "rollback" : "commit");
    }
  } finally {
    client.release(true);
  }
}
