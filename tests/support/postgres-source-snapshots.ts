import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChangeSource, ChannelKey } from "../../packages/server/src/source/change-source.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import type { SnapshotSettings } from "../../packages/server/src/source/snapshot-settings.ts";
import type { TestDatabase } from "./postgres.ts";
import { createApplicationDatabase } from "./postgres-source.ts";
import type { TestSource } from "./postgres-source.ts";
import type { CollectionsConfig } from "../../packages/server/src/source/postgres/collections.ts";
import { SAMPLE_TYPES, TYPE_SAMPLES } from "./type-samples.ts";
import { eventsAfter, readAll, StrictState, takeSnapshot } from "./snapshots.ts";
import { until } from "./until.ts";

type Open = (options: {
  readonly url: string;
  readonly collections?: CollectionsConfig | undefined;
  readonly snapshots?: Partial<SnapshotSettings>;
}) => Promise<TestSource>;

const TENANTS = ["a", "b"] as const;
const WRITERS = 4;
const SNAPSHOTS = 25;

/** What every mode of the PostgreSQL source does with snapshots. */
export function describeSnapshots(openTestSource: Open): void {
  let database: TestDatabase;
  let test: TestSource;
  const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);
  const key = (tenant: string, collection: string): ChannelKey => ({ tenant, collection });
  const snapshot = (tenant: string, collection: string, signal?: AbortSignal, source?: ChangeSource) =>
    takeSnapshot(source ?? test.source, key(tenant, collection), signal);
  const ids = async (tenant: string, collection: string) =>
    (await readAll(await snapshot(tenant, collection))).map(({ documentId }) => documentId).toSorted();

  beforeAll(async () => {
    database = await createApplicationDatabase();
    for (const sql of SAMPLE_TYPES) await query(sql);
    test = await openTestSource({ url: database.url, snapshots: { batchRows: 10 } });
  });

  afterAll(async () => {
    await test.source.close();
    await database.drop();
  });

  /** The snapshots that the database holds for us. */
  async function fetchHeld(): Promise<readonly { readonly waits: string | null }[]> {
    const result = await query(
      `select wait_event as waits from pg_stat_activity where datname = current_database()
         and application_name = 'paperdb-realtime snapshots' and backend_xmin is not null`,
    );
    return result.rows.map((row) => ({ waits: typeof row["waits"] === "string" ? row["waits"] : null }));
  }

  describe("a snapshot", () => {
    it("has the tenant's rows as of one moment, in batches", async () => {
      await query("create table rows (id int primary key, tenant_id text, n int)");
      await query(
        "insert into rows select i, case when i % 2 = 0 then 'a' else 'b' end, 0 from generate_series(1, 100) i",
      );
      await query("insert into rows values (0, null, 0)");
      await test.watch("a", "rows");
      const taken = await snapshot("a", "rows");
      await query("delete from rows");
      const sizes: number[] = [];
      const documents: string[] = [];
      for await (const batch of taken.batches) {
        sizes.push(batch.length);
        documents.push(...batch.map(({ document }) => document));
      }
      expect(sizes).toEqual([10, 10, 10, 10, 10]);
      expect(documents.toSorted()[0]).toBe('{"id":10,"tenant_id":"a","n":0}');
      const seam = await taken.seam();
      expect(eventsAfter(test.sink, key("a", "rows"), taken, seam)).toHaveLength(50);
    });

    it("ends a batch at its bytes, and has a document of its own that is larger", async () => {
      await query("create table sizes (id int primary key, tenant_id text, body text)");
      await query(
        "insert into sizes select i, 'a', repeat('x', case i when 3 then 5000 else 600 end) from generate_series(1, 6) i",
      );
      const other = await openTestSource({ url: database.url, snapshots: { batchBytes: 2_000 } });
      try {
        await other.watch("a", "sizes");
        const sizes: number[] = [];
        const { batches } = await snapshot("a", "sizes", undefined, other.source);
        for await (const batch of batches) sizes.push(batch.length);
        expect(sizes).toEqual([2, 1, 3]);
      } finally {
        await other.source.close();
      }
    });

    it("has the JSON of the events, for every type", async () => {
      const columns = TYPE_SAMPLES.map(([type], index) => `c${String(index)} ${type}`).join(", ");
      await query(`create table samples (id int primary key, tenant_id text, ${columns})`);
      await test.watch("a", "samples");
      const rows = Math.max(...TYPE_SAMPLES.map(([, ...values]) => values.length));
      for (let row = 0; row < rows; row++) {
        const values = TYPE_SAMPLES.map(([, ...all]) => all[row % all.length]).join(", ");
        await query(`insert into samples values (${String(row)}, 'a', ${values})`);
      }
      const changes = await test.sink.next("a", "samples", rows);
      const documents = await readAll(await snapshot("a", "samples"));
      const byId = new Map(documents.map(({ documentId, document }) => [documentId, document]));
      expect(byId.size).toBe(rows);
      for (const { id, text } of changes) expect(byId.get(id)).toBe(text);
    });

    it.each([
      ["uuid", "4c8fb6c8-5ac6-4b3c-8f6d-0f6f0c5f8a11", "4C8FB6C8-5AC6-4B3C-8F6D-0F6F0C5F8A11"],
      ["int4", "7", "07"],
      ["int8", "-9223372036854775808", "9223372036854775808"],
      ["numeric", "1.50", "1.5"],
      ["varchar(10)", "a", "A"],
      ["char(5)", "ab", "ab   "],
      ["own_text", "x'\\y", "x"],
    ])("finds tenants by a column of type %s, by their text only", async (type, tenant, other) => {
      const table = `by_${type.replaceAll(/\W/g, "_")}`;
      if (type === "own_text") await query("create domain own_text as text");
      await query(`create table ${table} (id int primary key, tenant_id ${type})`);
      await query(`insert into ${table} values (1, $1), (2, null)`, [tenant]);
      await test.watch(tenant, table);
      expect(await ids(tenant, table)).toEqual(["1"]);
      await test.watch(other, table);
      expect(await ids(other, table)).toEqual([]);
    });

    it("has every row that a filter wants, and reads no others where the filter can be pushed down", async () => {
      await query(`create type "sta te" as enum ('open', 'shut')`);
      await query("create domain level as int");
      await query(
        `create table filtered (id int primary key, tenant_id text, "st$1" "sta te", level level, title text)`,
      );
      await query(
        `insert into filtered select i, 'a', (array['open', 'shut'])[i % 2 + 1]::"sta te", i % 5, 'it''s $1 \\ ' || i from generate_series(1, 100) i`,
      );
      await test.watch("a", "filtered");
      const all = await readAll(await snapshot("a", "filtered"));
      const wheres = [
        { st$1: "open", level: { $gte: 3 } },
        { title: { $in: ["it's $1 \\ 7", "it's $1 \\ 8", null] } },
        { $or: [{ level: 1 }, { id: { $lt: 5 } }] },
        { missing: { $exists: true } },
      ];
      for (const where of wheres) {
        const filter = parseFilter(where, "where");
        const wanted = all.filter(({ document }) => filter.matches(JSON.parse(document) as JsonValue));
        const taken = await takeSnapshot(test.source, key("a", "filtered"), undefined, filter);
        const read = await readAll(taken);
        expect(read).toEqual(expect.arrayContaining(wanted));
        if (!("missing" in where)) expect(read).toHaveLength(wanted.length);
      }
    });

    it("has composite keys, partitions and no hidden columns; tables that inherit are others", async () => {
      await query("create table keys (b int, a text, tenant_id text, secret text, primary key (a, b))");
      await query("create table parted (id int primary key, tenant_id text) partition by range (id)");
      await query("create table parted_1 partition of parted for values from (0) to (10)");
      await query("create table parted_2 (tenant_id text, id int not null)");
      await query("alter table parted attach partition parted_2 for values from (10) to (20)");
      await query("create table parent (id int primary key, tenant_id text)");
      await query("create table child () inherits (parent)");
      await query(`insert into keys values (1, 'x"y', 'a', 'hush')`);
      await query("insert into parted values (1, 'a'), (11, 'a')");
      await query("insert into parent values (1, 'a')");
      await query("insert into child values (2, 'a')");
      const other = await openTestSource({
        url: database.url,
        collections: { keys: { table: "keys", hide: ["secret"] } },
      });
      try {
        await other.watch("a", "keys");
        expect(await readAll(await snapshot("a", "keys", undefined, other.source))).toEqual([
          { documentId: '["x\\"y",1]', document: '{"b":1,"a":"x\\"y","tenant_id":"a"}' },
        ]);
      } finally {
        await other.source.close();
      }
      await test.watch("a", "parted");
      expect(await ids("a", "parted")).toEqual(["1", "11"]);
      await test.watch("a", "parent");
      expect(await ids("a", "parent")).toEqual(["1"]);
    });

    it("waits for a table that is being rewritten, and has all its rows", async () => {
      await query("create table rewritten (id int primary key, tenant_id text, n int)");
      await query("insert into rewritten values (1, 'a', 1), (2, 'a', 1)");
      await test.watch("a", "rewritten");
      const writer = await database.pool.connect();
      try {
        await writer.query("begin; alter table rewritten alter column n type bigint");
        const taken = snapshot("a", "rewritten");
        await until(
          async () =>
            (await query("select 1 from pg_locks where relation = 'rewritten'::regclass and not granted"))
              .rowCount,
          { describe: "the snapshot to wait for the table" },
        );
        await writer.query("commit");
        expect(await readAll(await taken)).toHaveLength(2);
      } finally {
        writer.release(true);
      }
    });
  });

  describe("the seam", () => {
    it("sends what the snapshot did not see of a transaction that was open, wherever it commits", async () => {
      await query("create table opened (id int primary key, tenant_id text, n int)");
      await query("insert into opened values (1, 'a', 1), (2, 'a', 1), (3, 'a', 1)");
      await test.watch("a", "opened");
      const [before, between, after] = await Promise.all([1, 2, 3].map(() => database.pool.connect()));
      if (before === undefined || between === undefined || after === undefined)
        throw new Error("no connection");
      try {
        for (const [index, writer] of [before, between, after].entries()) {
          await writer.query("begin; savepoint s");
          await writer.query(`update opened set n = 2 where id = ${String(index + 1)}`);
          await writer.query(`release s; insert into opened values (${String(index + 11)}, 'a', 1)`);
        }
        await before.query("commit");
        const taken = await snapshot("a", "opened");
        const state = new StrictState();
        await between.query("commit");
        state.add(await readAll(taken));
        expect(state.documents.get("1")).toMatchObject({ n: 2 });
        expect(state.documents.get("2")).toMatchObject({ n: 1 });
        const seam = await taken.seam();
        expect(eventsAfter(test.sink, key("a", "opened"), taken, seam)).toHaveLength(2);
        await after.query("commit");
        await test.sink.next("a", "opened", 6);
        for (const event of eventsAfter(test.sink, key("a", "opened"), taken, seam)) state.apply(event);
        expect([...state.documents.keys()].toSorted()).toEqual(["1", "11", "12", "13", "2", "3"]);
        expect([...state.documents.values()].filter(({ n }) => n === 2)).toHaveLength(3);
      } finally {
        for (const writer of [before, between, after]) writer.release(true);
      }
    });

    it("makes state and changes meet exactly, while many write and many ask", async () => {
      await query("create table busy (id int primary key, tenant_id text, n int)");
      for (const tenant of TENANTS) await test.watch(tenant, "busy");
      const stop = new AbortController();
      const writers = Array.from({ length: WRITERS }, (_, writer) => write(writer, stop.signal));
      const checks: (() => Promise<void>)[] = [];
      try {
        for (let number = 0; number < SNAPSHOTS; number++) {
          const both = await Promise.all(TENANTS.map((tenant) => check(tenant)));
          checks.push(...both);
        }
      } finally {
        stop.abort();
        await Promise.all(writers);
      }
      await test.settle(query);
      for (const finish of checks) await finish();
      expect(
        test.sink.resets.filter(
          ({ channels }) => channels !== "all" && channels.some((id) => id.startsWith("busy")),
        ),
      ).toEqual([]);
    });

    it("resets of a truncated table, as always", async () => {
      await query("create table emptied (id int primary key, tenant_id text)");
      await query("insert into emptied values (1, 'a')");
      await test.watch("a", "emptied");
      const taken = await snapshot("a", "emptied");
      const truncated = query("truncate emptied");
      expect(await readAll(taken)).toHaveLength(1);
      await truncated;
      await taken.seam();
      expect(test.sink.resetsOf("a", "emptied", "truncated")).toBe(1);
    });
  });

  describe("a snapshot that cannot be had", () => {
    it("is refused for row-level security and a missing right, with the SQL that helps", async () => {
      await query("create table guarded (id int primary key, tenant_id text)");
      await query("create table secured (id int primary key, tenant_id text)");
      const role = `${database.name}_reader`;
      await query(`create role ${role} login superuser password 'x'`);
      const url = new URL(database.url);
      url.username = role;
      url.password = "x";
      const other = await openTestSource({ url: url.href });
      try {
        await other.watch("a", "guarded");
        await other.watch("a", "secured");
        await query(`alter role ${role} nosuperuser`);
        await query(`grant select on secured to ${role}; alter table secured enable row level security`);
        const take = (collection: string) => snapshot("a", collection, undefined, other.source).then(readAll);
        await expect(take("guarded")).rejects.toMatchObject({
          code: "collection_not_usable",
          message: expect.stringContaining('GRANT SELECT ON "public"."guarded"'),
        });
        await expect(take("secured")).rejects.toMatchObject({
          code: "collection_not_usable",
          message: expect.stringContaining("BYPASSRLS"),
        });
      } finally {
        await query(`alter role ${role} superuser`);
        await other.source.close();
        await query(`drop owned by ${role} cascade; drop role ${role}`);
      }
    });

    it("is refused while a hidden column has another name than the catalog was read with", async () => {
      await query("create table renamed (id int primary key, tenant_id text, secret text)");
      await query("insert into renamed values (1, 'a', 'hush')");
      const other = await openTestSource({
        url: database.url,
        collections: { renamed: { table: "renamed", hide: ["secret"] } },
      });
      try {
        await other.watch("a", "renamed");
        const taken = await snapshot("a", "renamed", undefined, other.source);
        expect((await readAll(taken)).map(({ document }) => document)).toEqual(['{"id":1,"tenant_id":"a"}']);
        await query("alter table renamed rename secret to shown");
        await expect(snapshot("a", "renamed", undefined, other.source).then(readAll)).rejects.toMatchObject({
          code: "source_unavailable",
        });
      } finally {
        await other.source.close();
      }
    });

    it("is not one of a collection that is not there", async () => {
      await expect(snapshot("a", "nowhere")).rejects.toMatchObject({ code: "source_unavailable" });
    });
  });

  describe("a slow reader", () => {
    it("holds the database back, a little is read ahead, and nothing is held after it has gone", async () => {
      await query("create table large (id int primary key, tenant_id text, body text)");
      await query(
        "insert into large select i, 'a', repeat(md5(i::text), 40) from generate_series(1, 30000) i",
      );
      await test.watch("a", "large");
      const leave = new AbortController();
      const { batches } = await snapshot("a", "large", leave.signal);
      const iterator = batches[Symbol.asyncIterator]();
      await iterator.next();
      await until(async () => (await fetchHeld()).some(({ waits }) => waits === "ClientWrite"), {
        describe: "the database to wait for the reader",
      });
      leave.abort(new Error("gone"));
      await expect(readRest(iterator)).rejects.toThrow("gone");
      await until(async () => (await fetchHeld()).length === 0, { describe: "the snapshot to be let go" });
    });

    it("lets go of a snapshot that it stops to read", async () => {
      const { batches } = await snapshot("a", "large");
      for await (const batch of batches) {
        expect(batch).toHaveLength(10);
        break;
      }
      await until(async () => (await fetchHeld()).length === 0, { describe: "the snapshot to be let go" });
    });

    it("waits for a lock as long as somebody waits for it", async () => {
      await query("create table locked (id int primary key, tenant_id text)");
      await test.watch("a", "locked");
      const fetchWaiting = async (): Promise<number> =>
        (await query("select 1 from pg_locks where relation = 'locked'::regclass and not granted"))
          .rowCount ?? 0;
      const writer = await database.pool.connect();
      try {
        await writer.query("begin; lock table locked in access exclusive mode");
        const leave = new AbortController();
        const taken = snapshot("a", "locked", leave.signal);
        taken.catch(() => undefined);
        await until(async () => (await fetchWaiting()) === 1, { describe: "the snapshot to wait" });
        leave.abort(new Error("gone"));
        await expect(taken).rejects.toThrow("gone");
        await until(async () => (await fetchWaiting()) === 0, { describe: "the database to give up" });
        // Not for ever either: snapshots of other tables wait for their turn.
        await expect(snapshot("a", "locked")).rejects.toMatchObject({ code: "source_unavailable" });
      } finally {
        writer.release(true);
      }
    });

    it("does not hold a snapshot that the database has sent", async () => {
      await query("create table small (id int primary key, tenant_id text)");
      await query("insert into small values (1, 'a')");
      await test.watch("a", "small");
      const taken = await snapshot("a", "small");
      await until(async () => (await fetchHeld()).length === 0, { describe: "the snapshot to be let go" });
      expect(await readAll(taken)).toHaveLength(1);
    });

    it("gives connections back: more are read than there are connections", async () => {
      for (let round = 0; round < 10; round++) expect(await ids("a", "small")).toEqual(["1"]);
      const left = await query(
        "select 1 from pg_stat_activity where datname = current_database() and application_name = 'paperdb-realtime snapshots'",
      );
      expect(left.rowCount).toBeLessThanOrEqual(4);
    });
  });

  /** Takes a snapshot now; what is returned checks it against the database at the end. */
  async function check(tenant: string): Promise<() => Promise<void>> {
    const channel = key(tenant, "busy");
    const taken = await takeSnapshot(test.source, channel);
    const state = new StrictState();
    state.add(await readAll(taken));
    const seam = await taken.seam();
    return async () => {
      for (const event of eventsAfter(test.sink, channel, taken, seam)) state.apply(event);
      const result = await query("select id, n from busy where tenant_id = $1 order by id", [tenant]);
      const held = [...state.documents.values()].map(({ id, n }) => ({ id, n }));
      expect(held.toSorted((left, right) => Number(left.id) - Number(right.id))).toEqual(result.rows);
    };
  }

  /** Writes transactions of all kinds of changes, each row's `n` growing with each. */
  async function write(writer: number, signal: AbortSignal): Promise<void> {
    const client = await database.pool.connect();
    const own = (): number => writer * 100 + Math.floor(Math.random() * 40);
    const statements = [
      () =>
        `insert into busy values (${String(own())}, '${pick(["a", "b", "c"])}', 1) on conflict do nothing`,
      () => `update busy set n = n + 1 where id = ${String(own())}`,
      () => `update busy set n = n + 1 where id between ${String(own())} and ${String(own())}`,
      () => `update busy set n = n + 1, tenant_id = '${pick(["a", "b", "c"])}' where id = ${String(own())}`,
      () => `delete from busy where id = ${String(own())}`,
      () =>
        `update busy set n = n + 1, id = ${String(own() + 50)} where id = ${String(own())}
           and not exists (select from busy where id between ${String(writer * 100 + 50)} and ${String(writer * 100 + 99)})`,
      () => `update busy set n = n + 1, id = id - 50 where id between ${String(writer * 100 + 50)} and ${String(writer * 100 + 89)}
           and not exists (select from busy b where b.id = busy.id - 50)`,
    ];
    try {
      while (!signal.aborted) {
        await client.query("begin");
        for (let count = Math.random() * 4; count > 0; count--) {
          await client.query("savepoint s");
          await client.query(pick(statements)());
          await client.query(Math.random() < 0.2 ? "rollback to s" : "release s");
        }
        await client.query(Math.random() < 0.1 ? "rollback" : "commit");
      }
    } finally {
      client.release(true);
    }
  }
}

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error("There is nothing to pick from.");
  return item;
}

async function readRest(iterator: AsyncIterator<unknown>): Promise<void> {
  while ((await iterator.next()).done !== true);
}
