import fc from "fast-check";
import { DatabaseError } from "pg";
import { expect, it } from "vitest";
import { createApplicationDatabase } from "./postgres-source.ts";
import { parseObject } from "./recording-sink.ts";
import type { OpenTestSource, TestSource } from "./postgres-source.ts";
import {
  TABLES,
  TAKE_PLACE,
  countCommitted,
  createAuditedTables,
  describe,
  fetchHistory,
} from "./postgres-source-history.ts";
import type { CommittedChange } from "./postgres-source-history.ts";
import type { TestDatabase } from "./postgres.ts";

/** Tenants that try to break out of names, quotes and hashes; the last one is nobody. */
const TENANTS = ["a", "b:c", 'it\'s "*"', null] as const;
/** Deadlock, a row moved to another partition meanwhile, a key taken meanwhile. */
const EXPECTED_CONFLICTS: ReadonlySet<string> = new Set(["40P01", "40001", "23505"]);
const SIZES = [0, 20, 8_000, 30_000, 1_200_000];

const table = fc.constantFrom(...TABLES);
const tenant = fc.constantFrom(...TENANTS);
const id = fc.integer({ min: 1, max: 6 });
const size = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 20) }, fc.constantFrom(...SIZES));
const region = fc.constantFrom("n", "s");

const write = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("insert" as const), table, id, tenant, region, size }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("update" as const), table, id, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("move" as const), table, id, tenant }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rekey" as const), table, id, to: id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cross" as const), id, region }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), table, id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("all" as const), table }) },
  { weight: 2, arbitrary: fc.constant({ kind: "savepoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "rollback to" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "release" as const }) },
);
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

const transaction = fc.record({
  writes: fc.array(write, { minLength: 1, maxLength: 8 }),
  commits: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
});
type Transaction = typeof transaction extends fc.Arbitrary<infer T> ? T : never;

const channelKey = fc.record({ tenant: fc.constantFrom("a", "b:c", 'it\'s "*"'), collection: table });
const coming = fc.record({ goes: fc.boolean(), channel: channelKey });
/** Writers that run at the same time, and subscribers that come and go meanwhile. */
const scene = fc.record({
  writers: fc.array(fc.array(transaction, { maxLength: 4 }), { maxLength: 4 }),
  comings: fc.array(coming, { maxLength: 4 }),
});

/** One stay of a subscriber on a channel. */
interface Stay {
  readonly channel: string;
  readonly position: string;
  /** Transactions that had committed when it was told that it is live, and before it left. */
  readonly liveAt: number;
  leftAt: number;
}

/** Concurrent writers, and subscribers that come and go: each channel receives what was committed for it. */
export function testHistories(openTestSource: OpenTestSource): void {
  it("each channel receives exactly what was committed for it, in order, while subscribers come and go", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(scene, { minLength: 2, maxLength: 6 }), async (scenes) => {
        const database = await createApplicationDatabase();
        try {
          await createAuditedTables(database);
          const test = await openTestSource({ url: database.url });
          try {
            const stays = new Stays(database, test);
            for (const { writers, comings } of scenes) {
              await Promise.all([
                ...writers.map((transactions) => runWriter(database, transactions)),
                stays.comeAndGo(comings),
              ]);
            }
            await stays.leaveAll();
            await test.settle((sql, params) => database.query(sql, params));
            expect(test.sink.resets).toEqual([]);
            check(stays.all, test, await fetchHistory(database));
          } finally {
            await test.source.close();
          }
        } finally {
          await database.drop();
        }
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 15), endOnFailure: true },
    );
  }, 240_000);
}

/**
 * What a stay received lies in the history without a gap and without a repetition, and
 * has all that committed between its becoming live and its leaving. It may begin earlier: what
 * was still on its way when it came.
 */
function check(stays: readonly Stay[], test: TestSource, history: readonly CommittedChange[]): void {
  for (const stay of stays) {
    const next = stays.find((other) => other.channel === stay.channel && other.position > stay.position);
    const committed = history.filter((change) => change.channel === stay.channel);
    const received = receivedBetween(test, stay, next?.position);
    const begin = committed.findIndex(({ seen }) => seen === received[0]);
    const stretch = received.length === 0 ? [] : committed.slice(begin, begin + received.length);
    expect(received).toEqual(stretch.map(({ seen }) => seen));
    const must = committed.filter(({ transaction: place }) => place > stay.liveAt && place <= stay.leftAt);
    expect(stretch).toEqual(expect.arrayContaining(must));
  }
  for (const channel of new Set(history.map((change) => change.channel))) {
    const all = history.filter((change) => change.channel === channel);
    const places = receivedBetween(test, { channel, position: "" }).map((change) =>
      all.findIndex(({ seen }) => seen === change),
    );
    expect(places).toEqual([...new Set(places)].toSorted((left, right) => left - right));
  }
}

function receivedBetween(
  test: TestSource,
  stay: Pick<Stay, "channel" | "position">,
  until?: string,
): readonly string[] {
  return test.sink.events.flatMap(({ channel: { tenant: owner, collection }, position, body }) => {
    if (`${collection} ${owner}` !== stay.channel || !("documentId" in body)) return [];
    if (position <= stay.position || (until !== undefined && position > until)) return [];
    const row = new Map(Object.entries(parseObject(body.document)));
    expect(row.get("tenant_id")).toBe(owner);
    return [describe(body.type, body.documentId, String(row.get("mark")), String(row.get("body")).length)];
  });
}

class Stays {
  readonly all: Stay[] = [];
  readonly #database: TestDatabase;
  readonly #test: TestSource;
  readonly #present = new Map<
    string,
    { readonly stay: Stay; readonly tenant: string; readonly collection: string }
  >();

  constructor(database: TestDatabase, test: TestSource) {
    this.#database = database;
    this.#test = test;
  }

  async comeAndGo(
    comings: readonly (typeof coming extends fc.Arbitrary<infer T> ? T : never)[],
  ): Promise<void> {
    for (const { goes, channel: key } of comings) {
      const name = `${key.collection} ${key.tenant}`;
      if (goes) await this.#leave(name);
      else if (!this.#present.has(name)) await this.#come(name, key);
    }
  }

  async leaveAll(): Promise<void> {
    for (const name of this.#present.keys()) await this.#leave(name);
  }

  async #come(name: string, key: { tenant: string; collection: string }): Promise<void> {
    const position = await this.#test.source.watch(key);
    const liveAt = await countCommitted(this.#database);
    const stay: Stay = { channel: name, position, liveAt, leftAt: 0 };
    this.all.push(stay);
    this.#present.set(name, { stay, ...key });
  }

  async #leave(name: string): Promise<void> {
    const present = this.#present.get(name);
    if (present === undefined) return;
    present.stay.leftAt = await countCommitted(this.#database);
    // What had committed is on its way: it stays for that, while others write on.
    await this.#test.settle((sql, params) => this.#database.query(sql, params));
    this.#present.delete(name);
    this.#test.source.unwatch({ tenant: present.tenant, collection: present.collection });
  }
}

let marks = 0;

async function runWriter(database: TestDatabase, transactions: readonly Transaction[]): Promise<void> {
  const client = await database.pool.connect();
  try {
    for (const { writes, commits } of transactions) {
      await client.query("begin");
      try {
        let savepoints = 0;
        for (const step of writes) {
          if (step.kind === "savepoint") savepoints += 1;
          else if (step.kind === "rollback to" || step.kind === "release") {
            if (savepoints === 0) continue;
            if (step.kind === "release") savepoints -= 1;
          }
          await client.query(...toSql(step));
        }
        await client.query(TAKE_PLACE);
        await client.query(commits ? "commit" : "rollback");
      } catch (error) {
        // Writers meet in deadlocks and on keys, as they do in life: the transaction ends, and nothing of it may be seen.
        await client.query("rollback");
        if (!(error instanceof DatabaseError && EXPECTED_CONFLICTS.has(error.code ?? ""))) throw error;
      }
    }
  } finally {
    client.release();
  }
}

function toSql(step: Write): [sql: string, params: unknown[]] {
  marks += 1;
  const mark = `m${String(marks)}`;
  switch (step.kind) {
    case "insert":
      return [
        `insert into ${step.table} values ($1, $2, $3, $4, repeat('x', $5)) on conflict do nothing`,
        [step.id, step.region, step.tenant, mark, step.size],
      ];
    case "update":
      return [
        `update ${step.table} set mark = $1, body = repeat('y', $2) where id = $3`,
        [mark, step.size, step.id],
      ];
    case "move":
      return [
        `update ${step.table} set mark = $1, tenant_id = $2 where id = $3`,
        [mark, step.tenant, step.id],
      ];
    case "rekey":
      return [`update ${step.table} set mark = $1, id = $2 where id = $3`, [mark, step.to, step.id]];
    case "cross":
      return ["update parted set mark = $1, region = $2 where id = $3", [mark, step.region, step.id]];
    case "delete":
      return [`delete from ${step.table} where id = $1`, [step.id]];
    case "all":
      return [`update ${step.table} set mark = $1 || id || region`, [mark]];
    case "savepoint":
      return ["savepoint s", []];
    case "rollback to":
      return ["rollback to s", []];
    case "release":
      return ["release s", []];
  }
}
