import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DocumentChange } from "@paperdb/protocol";
import { createApplicationDatabase, runInTransaction } from "./postgres-source.ts";
import type { OpenTestSource, TestSource } from "./postgres-source.ts";
import type { TestDatabase } from "./postgres.ts";
import { parseObject } from "./recording-sink.ts";
import { until } from "./until.ts";

const NO_FIELDS: ReadonlySet<string> = new Set();
const COLLECTIONS = {
  notes: { table: "public.notes" },
  parted: { table: "public.parted" },
  masked: { table: "public.masked", hide: ["secret", "level"] },
};

/** What filters need: prior documents and hidden values, the same in both modes. */
export function testPriors(openTestSource: OpenTestSource): void {
  let database: TestDatabase;
  let test: TestSource;
  const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

  beforeAll(async () => {
    database = await createApplicationDatabase();
    await query(`
      create table notes (id int primary key, tenant_id text, body text, n numeric);
      create table parted (id int, region text, tenant_id text, body text, primary key (id, region)) partition by list (region);
      create table parted_n partition of parted for values in ('n');
      create table masked (id int primary key, tenant_id text, secret text, body text, level int)`);
    test = await openTestSource({ url: database.url, collections: COLLECTIONS });
  });

  afterAll(async () => {
    await test.source.close();
    await database.drop();
  });

  const need = async (collection: string, fields = NO_FIELDS): Promise<void> => {
    await test.source.needPrior?.(collection, fields);
  };

  /** All that was received of a tenant once what has committed is there. */
  const received = async (tenant: string): Promise<readonly DocumentChange[]> => {
    await test.settle(query);
    return test.sink.events.flatMap(({ channel, body }) =>
      channel.tenant === tenant && "documentId" in body ? [body] : [],
    );
  };

  describe("prior documents", () => {
    it("come with updates, as they were delivered before, and with nothing else", async () => {
      await need("notes");
      await test.watch("a", "notes");
      await query(`insert into notes values (1, 'a', 'é"🐘' || chr(10), 12345678901234567890)`);
      await query("update notes set body = 'plain'");
      await query("update notes set n = 1.50");
      await query("update notes set body = body");
      await query("update notes set body = null, n = null");
      await query("delete from notes");
      const changes = await received("a");
      expect(changes.map(({ type }) => type)).toEqual([
        "insert",
        "update",
        "update",
        "update",
        "update",
        "delete",
      ]);
      for (const [index, { type, prior }] of changes.entries()) {
        expect(prior).toBe(type === "update" ? changes[index - 1]?.document : undefined);
      }
      expect(changes[1]?.prior).toBe(
        '{"id":1,"tenant_id":"a","body":"é\\"🐘\\n","n":"12345678901234567890"}',
      );
      expect(changes.every((change) => !("hidden" in change) && !("priorHidden" in change))).toBe(true);
    });

    it("stay with their tenant: a document that moves has none", async () => {
      await need("notes");
      await Promise.all(["from", "to"].map((tenant) => test.watch(tenant, "notes")));
      await query("insert into notes values (2, 'from', 'x', 1)");
      await query("update notes set tenant_id = 'to', body = 'y' where id = 2");
      await query("update notes set id = 3 where id = 2");
      const all = [...(await received("from")), ...(await received("to"))];
      expect(all.map(({ type, documentId, prior }) => [type, documentId, prior])).toEqual([
        ["insert", "2", undefined],
        ["delete", "2", undefined],
        ["insert", "2", undefined],
        ["delete", "2", undefined],
        ["insert", "3", undefined],
      ]);
    });

    it("come from all partitions, those attached later too, and of each step of a transaction", async () => {
      await need("parted");
      await test.watch("p", "parted");
      await query("create table parted_s partition of parted for values in ('s')");
      // A partition that comes is a new history.
      await until(() => test.sink.resetsOf("p", "parted", "collection_changed") > 0, {
        describe: "the new partition",
      });
      await query("insert into parted values (1, 'n', 'p', 'n0'), (1, 's', 'p', 's0')");
      await runInTransaction(database, [
        "update parted set body = region || 1",
        "savepoint one",
        "update parted set body = 'gone'",
        "rollback to one",
        "update parted set body = region || 2",
      ]);
      const changes = await received("p");
      const last = new Map<string, string>();
      let updates = 0;
      for (const { type, documentId, document, prior } of changes) {
        if (type === "update") {
          updates += 1;
          expect(prior).toBe(last.get(documentId));
        }
        last.set(documentId, document);
      }
      expect(updates).toBe(4);
      expect([...last.values()].map((text) => String(parseObject(text)["body"])).toSorted()).toEqual([
        "n2",
        "s2",
      ]);
    });

    it.each([9_000, 300_000, 1_500_000, 9 * 1024 * 1024])(
      "may be as large as documents: %i bytes",
      async (size) => {
        const tenant = `size ${String(size)}`;
        await need("notes");
        await test.watch(tenant, "notes");
        await query("insert into notes values ($1, $2, repeat('é', $3), 1)", [size, tenant, size / 2]);
        await query("update notes set body = repeat('x', $2), n = 2 where id = $1", [size, size]);
        const [first, second] = await received(tenant);
        expect(second?.prior === first?.document).toBe(true);
        expect(first?.document.length).toBeGreaterThan(size / 2);
      },
    );

    it("that are larger than a document may be reset the channel, and the write succeeds", async () => {
      await need("notes");
      await test.watch("huge", "notes");
      await query("insert into notes values (77, 'huge', repeat('x', $1), 1)", [17 * 1024 * 1024]);
      await query("update notes set body = 'small' where id = 77");
      await query("update notes set body = 'smaller' where id = 77");
      const changes = await received("huge");
      expect(changes.map(({ prior }) => prior)).toEqual([
        '{"id":77,"tenant_id":"huge","body":"small","n":1}',
      ]);
      expect(test.sink.resets.filter(({ channels }) => channels[0]?.endsWith("huge"))).toHaveLength(2);
    });
  });

  describe("hidden values", () => {
    it("come apart from the documents, of now and of before", async () => {
      await need("masked", new Set(["secret"]));
      await test.watch("m", "masked");
      await query("insert into masked values (1, 'm', 's1', 'b1', 1)");
      await query("update masked set secret = 's2'");
      await query("update masked set body = 'b2', level = null");
      await query("delete from masked");
      expect(await received("m")).toEqual([
        {
          type: "insert",
          documentId: "1",
          document: '{"id":1,"tenant_id":"m","body":"b1"}',
          hidden: '{"secret":"s1","level":1}',
        },
        {
          type: "update",
          documentId: "1",
          document: '{"id":1,"tenant_id":"m","body":"b1"}',
          prior: '{"id":1,"tenant_id":"m","body":"b1"}',
          hidden: '{"secret":"s2","level":1}',
          priorHidden: '{"secret":"s1","level":1}',
        },
        {
          type: "update",
          documentId: "1",
          document: '{"id":1,"tenant_id":"m","body":"b2"}',
          prior: '{"id":1,"tenant_id":"m","body":"b1"}',
          hidden: '{"secret":"s2","level":null}',
          priorHidden: '{"secret":"s2","level":1}',
        },
        {
          type: "delete",
          documentId: "1",
          document: '{"id":1,"tenant_id":"m","body":"b2"}',
          priorHidden: '{"secret":"s2","level":null}',
        },
      ]);
    });

    it("are none for columns that are not hidden, and not to be had of columns that there are not", async () => {
      await expect(need("masked", new Set(["body"]))).resolves.toBeUndefined();
      await expect(need("masked", new Set(["body", "nothing"]))).rejects.toMatchObject({
        code: "forbidden",
        message: expect.stringMatching(
          /name the column "nothing", which the table "public"."masked" does not have/,
        ),
      });
    });
  });

  it("cannot be needed of what is no collection", async () => {
    await expect(need("nowhere")).rejects.toMatchObject({ code: "collection_not_found" });
  });
}
