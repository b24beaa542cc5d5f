import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrate, MigrationError } from "../../packages/server/src/postgres/migrate.ts";
import { createDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";

const STEPS = [
  { id: 1, sql: "create table paperdb.first (n integer); insert into paperdb.first values (1)" },
  { id: 2, sql: "insert into paperdb.first values (2)" },
];

let database: TestDatabase;

beforeEach(async () => {
  database = await createDatabase();
});

afterEach(async () => {
  await database.drop();
});

async function run(migrations: typeof STEPS, url = database.url): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await migrate(client, "test", migrations);
  } finally {
    await client.end();
  }
}

async function rows(): Promise<readonly number[]> {
  const result = await database.query<{ n: number }>("select n from paperdb.first order by n");
  return result.rows.map(({ n }) => n);
}

test("each migration runs once", async () => {
  await run(STEPS.slice(0, 1));
  expect(await rows()).toEqual([1]);
  await run(STEPS);
  await run(STEPS);
  expect(await rows()).toEqual([1, 2]);
});

test("of several starters at once, one runs it and all succeed", async () => {
  await Promise.all(Array.from({ length: 5 }, () => run(STEPS)));
  expect(await rows()).toEqual([1, 2]);
});

test("a migration that fails leaves nothing of itself, and those before it", async () => {
  const broken = { id: 3, sql: "insert into paperdb.first values (3); select 1/0" };
  await expect(run([...STEPS, broken])).rejects.toThrow("division by zero");
  expect(await rows()).toEqual([1, 2]);
  await run([...STEPS, { id: 3, sql: "insert into paperdb.first values (3)" }]);
  expect(await rows()).toEqual([1, 2, 3]);
});

test("a database of a newer version is refused in one sentence", async () => {
  await run(STEPS);
  const older = run(STEPS.slice(0, 1));
  await expect(older).rejects.toBeInstanceOf(MigrationError);
  await expect(older).rejects.toThrow(
    /at version 2 of "test".*knows versions up to 1: start the newer version/,
  );
});

test("without the right to make the schema, the sentence has the SQL that mends it", async () => {
  const role = `limited_${database.name}`;
  await database.query(`create role ${role} login password 'x'`);
  const url = new URL(database.url);
  url.username = role;
  url.password = "x";
  try {
    const sql = `CREATE SCHEMA paperdb AUTHORIZATION ${role};`;
    await expect(run(STEPS, url.href)).rejects.toThrow(sql);
    await database.query(sql);
    await run(STEPS, url.href);
    expect(await rows()).toEqual([1, 2]);
  } finally {
    await database.query(`drop owned by ${role} cascade; drop role ${role}`);
  }
});
