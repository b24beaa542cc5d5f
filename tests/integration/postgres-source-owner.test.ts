import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let test: TestSource;
let former: string;
let next: string;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  former = `former_${database.name}`;
  next = `next_${database.name}`;
  await query(`create role ${former}; create role ${next}; grant create on schema public to ${next}`);
  test = await openTestSource({ url: database.url, settings: { catalogPollIntervalMs: 50 } });
});

afterAll(async () => {
  await test.source.close();
  await database.query(`drop owned by ${next} cascade; drop role ${next}`);
  await database.drop();
});

async function as(role: string, ...statements: readonly string[]): Promise<void> {
  const client = await database.pool.connect();
  try {
    await client.query(`set role ${role}`);
    for (const statement of statements) await client.query(statement);
  } finally {
    client.release(true);
  }
}

async function ownerOf(table: string): Promise<unknown> {
  const result = await query(
    "select pg_get_userbyid(proowner) as owner from pg_proc where proname = 'capture_' || $1::regclass::oid",
    [table],
  );
  return result.rows[0]?.["owner"];
}

describe("another owner of a captured table", () => {
  it("can add partitions at once, and the former one can be dropped, whether the table is watched or not", async () => {
    for (const table of ["kept", "given"]) {
      await query(`create table ${table} (id int, tenant_id text, primary key (id)) partition by range (id)`);
      await query(`alter table ${table} owner to ${former}`);
      await test.watch("a", table);
      expect(await ownerOf(table)).toBe(former);
    }
    test.source.unwatch({ tenant: "a", collection: "given" });
    for (const table of ["kept", "given"]) {
      await query(`alter table ${table} owner to ${next}`);
      await as(next, `create table ${table}_1 partition of ${table} for values from (0) to (10)`);
      await query(`insert into ${table} values (1, 'a')`);
      await until(async () => (await ownerOf(table)) === next);
    }
    await until(() =>
      query(`drop role ${former}`).then(
        () => true,
        () => false,
      ),
    );
    await test.sink.next("a", "kept", 1);
    await query("insert into kept values (2, 'a')");
    await test.sink.next("a", "kept", 2);
  });

  it("leaves the former one what the application needs to publish", async () => {
    const publisher = `publisher_${database.name}`;
    await query(`create role ${publisher}; grant usage on schema paperdb to ${publisher}`);
    await query(`grant execute on function paperdb.publish to ${publisher}`);
    await query("create table passed_on (id int primary key, tenant_id text)");
    await query(`alter table passed_on owner to ${publisher}`);
    await test.watch("a", "passed_on");
    await query(`alter table passed_on owner to ${next}`);
    const may = async (right: string): Promise<unknown> => (await query(right, [publisher])).rows[0]?.["may"];
    await until(
      async () =>
        (await may("select has_function_privilege($1, 'paperdb.send'::regproc, 'execute') as may")) === false,
    );
    await as(publisher, "select paperdb.publish('a', 'still.there', '1')");
    await until(() => test.published.some(({ topic }) => topic === "still.there"));
    await query(`drop owned by ${publisher} cascade; drop role ${publisher}`);
  });
});

describe("a capture function", () => {
  it("does nothing on a table that is not its own, and nobody else may send", async () => {
    await query("create table genuine (id int primary key, tenant_id text)");
    await test.watch("a", "genuine");
    const oid = (await query("select 'genuine'::regclass::oid::text as oid")).rows[0]?.["oid"];
    await query(`grant usage on schema paperdb to ${next}`);
    await as(
      next,
      "create table forged (id int primary key, tenant_id text)",
      `create trigger forge after insert on forged for each row execute function paperdb."capture_${String(oid)}"()`,
      "insert into forged values (1, 'a')",
    );
    await query("insert into genuine values (2, 'a')");
    expect(await test.sink.next("a", "genuine", 1)).toMatchObject([{ id: "2" }]);
    const stranger = `stranger_${database.name}`;
    await query(`create role ${stranger}; grant usage on schema paperdb to ${stranger}`);
    await expect(
      as(stranger, "select paperdb.send('c', 'i', '1', 'a', '1', false, '{}', 1000, 1000, 10)"),
    ).rejects.toThrow(/permission denied for function send/);
    await expect(as(stranger, "insert into paperdb.outbox (message) values ('')")).rejects.toThrow(
      /permission denied/,
    );
    await query(`drop owned by ${stranger}; drop role ${stranger}`);
  });
});
