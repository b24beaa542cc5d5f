import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createApplicationDatabase } from "../support/postgres-source.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const MAX_UNSWEPT = 3;
/** Far more. */
const TABLES = 24;

let database: TestDatabase;
let test: TestWalSource;
/** What the source has logged. */
let lines: string[];
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeEach(async () => {
  database = await createApplicationDatabase();
  lines = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  test = await openWalSource({ url: database.url, log, settings: { maxUnsweptRelations: MAX_UNSWEPT } });
  await query("create table todos (id int primary key, tenant_id text)");
  await test.watch("a", "todos");
  await query("insert into todos values (1, 'a')");
  await test.sink.next("a", "todos", 1);
});

afterEach(async () => {
  await test.source.close();
  await database.drop();
});

/** Table after table is made, watched, written to and dropped. */
async function churn(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await query(`create table ${name} (id int primary key, tenant_id text)`);
    await test.watch("a", name);
    await query(`insert into ${name} values (1, 'a')`);
    await until(() => test.sink.changes("a", name).length > 0, { describe: `the change of ${name}` });
    await query(`drop table ${name}`);
  }
}

/** A change of a table that was forgotten ends the stream, which then begins again. */
function expectNothingMissing(): void {
  expect(lines.filter((line) => line.includes("was not described before"))).toEqual([]);
  expect(lines.filter((line) => line.includes("The source is live"))).not.toEqual([]);
}

const namesOf = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

describe("what the stream has described", () => {
  it("is forgotten once its tables were dropped, and nothing else is", async () => {
    await churn(namesOf("passing", TABLES));
    // While the drop of the latest ones is not seen yet, they are kept; further ones make it look again.
    for (let more = 0; test.source.stats().relations > 2 * MAX_UNSWEPT + 1; more += 1) {
      expect(more).toBeLessThan(10 * TABLES);
      await churn([`further${more}`]);
    }
    await query("insert into todos values (2, 'a')");
    await query("update todos set id = 3 where id = 2");
    const changes = await test.sink.next("a", "todos", 4);
    expect(changes.map(({ type, id }) => `${type} ${id}`)).toEqual([
      "insert 1",
      "insert 2",
      "delete 2",
      "insert 3",
    ]);
    expectNothingMissing();
  });

  it("is kept of all that are there, however many", async () => {
    const names = namesOf("lasting", TABLES);
    for (const name of names) {
      await query(`create table ${name} (id int primary key, tenant_id text)`);
      await test.watch("a", name);
    }
    for (const id of [1, 2, 3]) {
      for (const name of names) await query(`insert into ${name} values (${id}, 'a')`);
      for (const name of names) await test.sink.next("a", name, id);
    }
    expectNothingMissing();
  });
});
