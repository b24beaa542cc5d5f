import { createClient, type ChangeEvent, type Client, type ClientOptions, type DocumentList } from "paperdb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { SdkRecorder } from "../support/sdk-recorder.ts";
import { until } from "../support/until.ts";

interface Task {
  readonly id: number;
  readonly room: string;
  readonly n: number;
}

interface Schema {
  tasks: Task;
}

let server: TestServer;
let proxy: TcpProxy;
let acme: TestTenant;
let other: TestTenant;
const clients: Client<Schema>[] = [];
/** What clients have sent, since the test began. */
let sent: string[] = [];

class RecordingWebSocket extends WebSocket {
  override send(data: string): void {
    sent.push(data);
    super.send(data);
  }
}

function connect(options: Partial<ClientOptions> = {}, tenant = acme): Client<Schema> {
  const client = createClient<Schema>({
    apiKey: tenant.secretKey,
    baseUrl: server.url,
    realtimeUrl: proxy.url,
    backoff: { minMs: 20, maxMs: 200 },
    WebSocket: RecordingWebSocket,
    ...options,
  });
  clients.push(client);
  return client;
}

const query = (sql: string, params?: readonly unknown[]) => server.database.query(sql, params);
const add = (tenant: string, room: string, ...ids: readonly number[]): Promise<unknown> =>
  query("insert into tasks select unnest($1::int[]), $2, $3, 1", [ids, tenant, room]);
/** In an order that does not depend on where the database has put them. */
const idsOf = (tasks: readonly Task[]): number[] =>
  tasks.map(({ id }) => id).toSorted((left, right) => left - right);
const untilIds = (list: DocumentList<Task>, ...ids: readonly number[]): Promise<unknown> =>
  until(() => list.isLoaded && String(idsOf(list.current)) === String(ids), {
    describe: () => `${String(ids)}: it is ${String(idsOf(list.current))}`,
  });
const subscriptions = (): unknown[] =>
  sent.map((text): unknown => JSON.parse(text)).filter((message) => Object(message).type === "subscribe");

beforeAll(async () => {
  server = await startTestServer({ sources: [{ kind: "postgres", mode: "wal" }] });
  await query("create table tasks (id int primary key, tenant_id text not null, room text, n int)");
  acme = await server.createTenant("acme");
  other = await server.createTenant("other");
  // A slot waits for transactions of tests beside this one, and the table has to be noticed.
  await until(async () => {
    const probe = await server.subscribe({ collection: "tasks" }, acme.anonKey);
    probe.close();
    return probe.status === 200;
  });
  proxy = await startProxy(server.url);
});

beforeEach(() => {
  sent = [];
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await query("delete from tasks");
});

afterAll(async () => {
  await proxy?.close();
  await server?.close();
});

describe("a list", () => {
  it("has the tenant's documents, and every change of them", async () => {
    await add("acme", "a", 2, 1);
    await add("other", "a", 3);
    const list = connect().realtime.list("tasks", { compare: (left, right) => left.id - right.id });
    expect([list.current, list.isLoaded, list.status]).toEqual([[], false, "connecting"]);
    await untilIds(list, 1, 2);
    await until(() => list.status === "live");
    expect(list.current[0]).toEqual({ id: 1, tenant_id: "acme", room: "a", n: 1 });
    await add("acme", "a", 4, 0);
    await add("other", "a", 5);
    await query("delete from tasks where id = 1");
    await untilIds(list, 0, 2, 4);
    expect(list.current.map(({ id }) => id)).toEqual([0, 2, 4]);
    await query("update tasks set n = 2 where id = 2");
    await until(() => list.current[1]?.n === 2);
  });

  it("is loaded also where there is nothing", async () => {
    const changes: (readonly Task[])[] = [];
    const list = connect({}, other).realtime.list("tasks", { onChange: (tasks) => changes.push(tasks) });
    await untilIds(list);
    expect(changes).toEqual([[]]);
  });

  it("has what matches its filter: documents leave it, and enter it", async () => {
    await add("acme", "a", 1, 2);
    await add("acme", "b", 3);
    const list = connect().realtime.list("tasks", { where: { room: "a" } });
    await untilIds(list, 1, 2);
    await query("update tasks set room = 'b' where id = 1");
    await untilIds(list, 2);
    await query("update tasks set room = 'a' where id = 3");
    await untilIds(list, 2, 3);
    await query("update tasks set id = 9 where id = 2");
    await untilIds(list, 3, 9);
  });

  it("shares one subscription with others of the same filter, however it is written", async () => {
    await add("acme", "a", 1);
    const { realtime } = connect();
    const first = realtime.list("tasks", { where: { room: "a", n: 1 } });
    const events = new SdkRecorder<ChangeEvent<"tasks", Task>>();
    realtime.subscribe("tasks", events.listener, { ...events.options, where: { n: { $eq: 1 }, room: "a" } });
    await untilIds(first, 1);
    const second = realtime.list("tasks", { where: { n: 1, room: "a" } });
    await untilIds(second, 1);
    await add("acme", "a", 2);
    await Promise.all([untilIds(first, 1, 2), untilIds(second, 1, 2)]);
    expect(events.events.map(({ type, documentId }) => [type, documentId])).toEqual([["insert", "2"]]);
    expect(subscriptions()).toHaveLength(1);
  });

  it("shares one with a filter that only the server knows to be the same", async () => {
    await add("acme", "a", 1, 2);
    const { realtime } = connect();
    const first = realtime.list("tasks", { where: { id: { $gte: 1 }, room: "a" } });
    await untilIds(first, 1, 2);
    const second = realtime.list("tasks", {
      where: { $and: [{ room: { $in: ["a"] } }, { id: { $gte: 1 } }] },
    });
    await untilIds(second, 1, 2);
    await add("acme", "a", 3);
    await Promise.all([untilIds(first, 1, 2, 3), untilIds(second, 1, 2, 3)]);
    expect([first.status, second.status]).toEqual(["live", "live"]);
  });

  it("has its documents also beside a subscription that was there before, which misses nothing", async () => {
    await add("acme", "a", 1);
    const { realtime } = connect();
    const events = new SdkRecorder<ChangeEvent<"tasks", Task>>();
    realtime.subscribe("tasks", events.listener, events.options);
    await until(() => events.isLive);
    await add("acme", "a", 2);
    const list = realtime.list("tasks");
    await add("acme", "a", 3);
    await until(() => list.current.length === 3);
    await add("acme", "a", 4);
    await until(() => list.current.length === 4);
    await until(() => events.events.length === 3);
    expect(events.events.map(({ documentId }) => documentId)).toEqual(["2", "3", "4"]);
    expect([events.resets, events.errors]).toEqual([[], []]);
  });

  it("fetches its documents anew after a reset, and shows the old ones until then", async () => {
    await add("acme", "a", 1, 2);
    const seen: string[] = [];
    const list = connect().realtime.list("tasks", {
      onChange: (tasks) => seen.push(idsOf(tasks).join()),
    });
    await untilIds(list, 1, 2);
    await query("truncate tasks; insert into tasks values (3, 'acme', 'a', 1)");
    await untilIds(list, 3);
    await add("acme", "a", 4);
    await untilIds(list, 3, 4);
    expect(Array.from(new Set(seen))).toEqual(["1,2", "3", "3,4"]);
  });

  it("shows what its token grants, and something else once the token does", async () => {
    await add("acme", "a", 1, 2);
    await add("acme", "b", 3);
    const backend = connect();
    let room = "a";
    const client = connect({
      apiKey: undefined,
      // So short that the client shows the next one soon.
      getToken: ({ collections }) =>
        backend.realtime.generateToken({
          collections: collections.filter((name) => name === "tasks"),
          filters: { tasks: { room } },
          expiresIn: 3,
        }),
    });
    const list = client.realtime.list("tasks", { where: { id: { $gt: 1 } } });
    await untilIds(list, 2);
    room = "b";
    await untilIds(list, 3);
    await query("update tasks set room = 'b' where id = 2");
    await untilIds(list, 2, 3);
  });

  it("ends with its signal", async () => {
    const stopped = new AbortController();
    const list = connect().realtime.list("tasks", { signal: stopped.signal });
    await untilIds(list);
    stopped.abort();
    expect(list.status).toBe("ended");
    await until(() => sent.some((text) => text.includes('"unsubscribe"')));
  });

  it("says why it ends", async () => {
    const errors: string[] = [];
    const list = connect().realtime.list("tasks", {
      where: { room: { $like: "a%" } },
      onError: ({ code, message }) => errors.push(`${code} ${message}`),
    });
    await until(() => list.status === "ended");
    expect(errors).toEqual([expect.stringMatching(/^invalid_filter .*where\.room/)]);
    expect(list.isLoaded).toBe(false);
  });
});

describe("a subscription with a snapshot", () => {
  it("gives the documents as inserts, is live, and gives what changes", async () => {
    await add("acme", "a", 1, 2);
    await add("other", "a", 3);
    const recorder = new SdkRecorder<ChangeEvent<"tasks", Task>>();
    const stages: string[] = [];
    connect().realtime.subscribe("tasks", recorder.listener, {
      ...recorder.options,
      snapshot: true,
      onStatus: (status) => stages.push(`${status} after ${recorder.events.length}`),
    });
    await until(() => stages.length === 2);
    expect(stages).toEqual(["connecting after 0", "live after 2"]);
    const [first] = recorder.events.toSorted((left, right) => left.data.id - right.data.id);
    expect(first).toEqual({
      type: "insert",
      collection: "tasks",
      documentId: "1",
      data: { id: 1, tenant_id: "acme", room: "a", n: 1 },
    });
    await query("update tasks set n = 2 where id = 1");
    await until(() => recorder.events.length === 3);
    expect(recorder.events[2]).toMatchObject({ type: "update", documentId: "1", data: { n: 2 } });
  });

  it("can be a stream", async () => {
    await add("acme", "a", 1);
    const ids: string[] = [];
    for await (const { documentId } of connect().realtime.stream("tasks", {
      snapshot: true,
      maxBuffered: 1,
    })) {
      ids.push(documentId);
      if (ids.length === 3) break;
      await add("acme", "a", 10 + ids.length);
    }
    expect(ids).toEqual(["1", "11", "12"]);
  });
});
