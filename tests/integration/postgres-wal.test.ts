import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestDatabase } from "../support/postgres.ts";
import { createApplicationDatabase } from "../support/postgres-source.ts";
import { openTestWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";

let database: TestDatabase;
let test: TestWalSource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  test = await openTestWalSource({ url: database.url });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

describe("smoke", () => {
  it("delivers insert, update and delete with the whole row, to the row's tenant only", async () => {
    await query("create table basic (id int primary key, tenant_id text, title text)");
    await test.watch("a", "basic");
    await test.watch("b", "basic");
    await query(
      "insert into basic values (1, 'a', 'one'), (2, 'b', 'two'), (3, null, 'nobody'), (4, 'c', 'x')",
    );
    await query("update basic set title = 'uno' where id = 1");
    await query("delete from basic where id = 1");
    expect(await test.sink.next("a", "basic", 3)).toMatchObject([
      { type: "insert", id: "1", text: '{"id":1,"tenant_id":"a","title":"one"}' },
      { type: "update", id: "1", text: '{"id":1,"tenant_id":"a","title":"uno"}' },
      { type: "delete", id: "1", text: '{"id":1,"tenant_id":"a","title":"uno"}' },
    ]);
    await test.settle(query);
    expect(test.sink.changes("b", "basic")).toMatchObject([{ type: "insert", id: "2" }]);
    expect(test.sink.events.filter(({ channel }) => !["a", "b"].includes(channel.tenant))).toEqual([]);
  });
});
