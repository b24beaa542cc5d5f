import { Client } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { isAlive } from "../../packages/server/src/embedded/postmaster-file.ts";
import { queryOnce } from "../support/embedded-folder.ts";
import { openDatabase, startPostgres } from "../support/postgres.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { startTestServer } from "../support/realtime-server.ts";
import { createServerHome, fetchDescendantPids, type ServerProcess } from "../support/server-process.ts";
import { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const TODOS_SQL =
  "create table todos (id bigint generated always as identity primary key, tenant_id text not null, title text)";

/** Writes to both tenants in turn, one row after the other, until stopped; what fails is written again. */
function writeEndlessly(url: string, tenants: readonly string[]): () => Promise<void> {
  const stopped = new AbortController();
  const write = async (): Promise<void> => {
    let client: Client | undefined;
    for (let row = 0; !stopped.signal.aborted; row += 1) {
      try {
        if (client === undefined) {
          client = new Client({ connectionString: url });
          client.on("error", () => undefined);
          await client.connect();
        }
        await client.query("insert into todos (tenant_id, title) values ($1, $2)", [
          tenants[row % tenants.length],
          `row ${row}`,
        ]);
      } catch {
        client = undefined; // The outage that the test is about.
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
    }
    await client?.end();
  };
  const done = write();
  return () => {
    stopped.abort();
    return done;
  };
}

/** Ids of the changes after the last `ready`. */
function idsSinceReady(client: SseClient): number[] {
  const ready = client.events.findLastIndex(({ event }) => event === "ready");
  return client.events.slice(ready + 1).map(({ data }) => {
    const change: { readonly document: { readonly id: number } } = JSON.parse(data);
    return change.document.id;
  });
}

test("PostgreSQL killed under load: readiness says so, and after a reset every change arrives again", async () => {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  const database = openDatabase(postgres.url);
  await database.query(TODOS_SQL);
  const server = await startTestServer({}, database);
  onTestFinished(async () => {
    await server.close();
    await database.drop();
  });
  const tenants = [await server.createTenant("alice"), await server.createTenant("bob")] as const;
  const clients = await Promise.all(tenants.map((tenant) => server.watch("todos", tenant.anonKey)));
  const stop = writeEndlessly(
    postgres.url,
    tenants.map(({ id }) => id),
  );
  onTestFinished(stop);
  await Promise.all(clients.map((client) => client.waitForMessages(20)));

  await postgres.kill();
  const notReady = await until(
    async () => {
      const response = await fetch(`${server.url}/readyz`);
      return response.status === 503 ? response.json() : undefined;
    },
    { describe: "not ready" },
  );
  expect(notReady).toMatchObject({
    status: "not_ready",
    sources: [{ name: "postgres", live: false, detail: expect.stringMatching(/\w{3,}/) }],
  });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  const refused = await server.subscribe({ collection: "todos" }, tenants[0].anonKey);
  expect(refused.status).toBe(503);
  expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(1);
  await until(() => refused.ended);
  expect(refused.problem).toMatchObject({ code: "source_unavailable", retryable: true });
  for (const client of clients) {
    expect(client.ended).toBe(false);
    expect(client.named("reset")).toEqual([]);
  }

  await postgres.start();
  await until(async () => (await fetch(`${server.url}/readyz`)).status === 200, {
    describe: "ready again",
  });
  for (const client of clients) {
    await client.waitForEvent("ready", 2);
    expect(client.events.filter(({ event }) => event !== undefined).map(({ event }) => event)).toEqual([
      "ready",
      "reset",
      "ready",
    ]);
    await until(() => idsSinceReady(client).length >= 20, { describe: "changes after the outage" });
  }
  await stop();
  for (const [index, client] of clients.entries()) {
    const [first = 0] = idsSinceReady(client);
    const { rows } = await database.query<{ id: string }>(
      "select id from todos where tenant_id = $1 and id >= $2 order by id",
      [tenants[index]?.id, first],
    );
    await until(() => idsSinceReady(client).length >= rows.length);
    expect(idsSinceReady(client)).toEqual(rows.map(({ id }) => Number(id)));
    const ids = client.changes.map(({ document }) => Number(document["id"]));
    expect(new Set(ids).size).toBe(ids.length);
  }
});

/** What the first start printed. */
function readBanner({ stdout }: ServerProcess): { anonKey: string; databaseUrl: string } {
  const [anonKey = ""] = /flc_anon_\w+/.exec(stdout) ?? [];
  const [databaseUrl = ""] = /postgres:\/\/\S+/.exec(stdout) ?? [];
  return { anonKey, databaseUrl };
}

test("a server killed with its embedded database: the next one takes it over, and SIGTERM leaves nothing", async () => {
  const home = await createServerHome();
  const first = await home.start();
  const { anonKey, databaseUrl } = readBanner(first);
  const subscribe = async (lastEventId?: string): Promise<SseClient> => {
    const client = await SseClient.open(`${home.url}/v1/events/subscribe?collection=todos`, {
      apikey: anonKey,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    });
    onTestFinished(() => client.close());
    await client.waitForEvent("ready");
    return client;
  };
  const write = (title: string): Promise<unknown> =>
    queryOnce(databaseUrl, `insert into todos (tenant_id, title) values ('demo', '${title}')`);

  const before = await subscribe();
  await write("first server");
  await before.waitForMessages(1);
  await first.end("SIGKILL");
  await before.waitForEnd();
  expect(await isAlive(first.postgresPid)).toBe(true);
  await write("no server");

  const second = await home.start();
  expect(second.postgresPid).toBe(first.postgresPid);
  expect(second.stdout).not.toContain(anonKey);
  const after = await subscribe(before.lastEventId);
  await write("second server");
  expect(await after.waitForMessages(2)).toMatchObject([
    { document: { title: "no server" } },
    { document: { title: "second server" } },
  ]);
  expect(after.events.map(({ event }) => event)).not.toContain("reset");

  // One that does not read, and one that has not asked yet, must not hold it up.
  const stalled = await RawSocket.open(
    home.url,
    `GET /v1/events/subscribe?collection=todos HTTP/1.1\r\nhost: test\r\napikey: ${anonKey}\r\n\r\n`,
  );
  await stalled.waitFor("event: ready");
  stalled.socket.pause();
  const undecided = await RawSocket.open(home.url, "GET /healthz HTTP/1.1\r\n");
  onTestFinished(() => {
    stalled.close(true);
    undecided.close(true);
  });
  await queryOnce(
    databaseUrl,
    "insert into todos (tenant_id, title) select 'demo', repeat('x', 1000000) from generate_series(1, 7)",
  );
  await after.waitForMessages(9);
  const processes = await fetchDescendantPids(second.pid, second.postgresPid);
  expect(processes).toContain(second.postgresPid);
  let ended = false;
  const ending = second.end("SIGTERM").then((result) => {
    ended = true;
    return result;
  });
  await until(() => ended, { describe: "the end of the server" });
  expect(await ending).toMatchObject({ code: 0, stderr: "" });
  await after.waitForEnd();
  expect(after.retryMs).toBeGreaterThan(0);
  for (const pid of processes) expect([pid, await isAlive(pid)]).toEqual([pid, false]);
});

test("an embedded PostgreSQL killed under a running server comes back, and subscribers miss nothing", async () => {
  const home = await createServerHome();
  const server = await home.start();
  const { anonKey, databaseUrl } = readBanner(server);
  const client = await SseClient.open(`${home.url}/v1/events/subscribe?collection=todos`, {
    apikey: anonKey,
  });
  onTestFinished(() => client.close());
  await client.waitForEvent("ready");
  await queryOnce(databaseUrl, "insert into todos (tenant_id, title) values ('demo', 'before')");
  process.kill(server.postgresPid, "SIGKILL");
  // It is back before the server has noticed, or later.
  await until(
    async () => {
      try {
        await queryOnce(databaseUrl, "insert into todos (tenant_id, title) values ('demo', 'after')");
        return true;
      } catch {
        return false;
      }
    },
    { describe: "the database" },
  );
  await until(() => client.changes.some(({ document }) => document["title"] === "after"), {
    describe: "the change after the outage",
  });
  expect(client.changes.map(({ document }) => document["title"])).toEqual(["before", "after"]);
  expect(client.named("reset")).toEqual([]);
  await until(async () => (await fetch(`${home.url}/readyz`)).status === 200);
  expect((await server.end("SIGTERM")).code).toBe(0);
});
