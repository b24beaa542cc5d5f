import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { GrantWalk, OWNERS } from "../support/grant-walk.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { SnapshotServer } from "../support/snapshot-server.ts";

const ROWS = 40;
const STEPS = 50;
const CLIENTS = 3;
/** On a busy machine a client may be too slow for those that it shares a snapshot with. */
const CAUSES = ["grant_changed", "snapshot_interrupted", "history_too_short"];
const SEED = 1;

describe.each(["notify", "wal"] as const)("grants that change at any moment, mode %s", (mode) => {
  let world: SnapshotServer;

  beforeAll(async () => {
    world = await SnapshotServer.start(mode, { snapshots: { batchRows: 5 } });
  });

  afterEach(() => world?.closeClients());
  afterAll(() => world?.close());

  it("show no other rows, and all of them, while rows change owners", async () => {
    const table = await world.createTable(
      Array.from({ length: ROWS }, (_, index) => OWNERS[index % 3] ?? ""),
    );
    await world.run(`update ${table} set body = repeat('x', 20000) where id % 2 = 0`);
    // The first filter on a table is a reset for all.
    const filtering = await world.sse({ collection: table, where: '{"n":0}' });
    await filtering.waitForEvent("ready");
    const stop = new AbortController();
    const writing = write(table, seededRandom(SEED), stop.signal);
    const walks: GrantWalk[] = [];
    try {
      for (let seed = SEED + 1; seed <= SEED + CLIENTS; seed += 1) {
        walks.push(new GrantWalk(world, table, await world.open([table]), seededRandom(seed * 7919)));
      }
      await Promise.all(
        walks.map(async (walk) => {
          for (let step = 0; step < STEPS; step += 1) await walk.step();
        }),
      );
    } finally {
      stop.abort();
      await writing;
    }
    const { rows } = await world.database.query<{ id: number; n: number; owner: string }>(
      `select id, n, owner from ${table}`,
    );
    for (const walk of walks) {
      await walk.finish(rows);
      expect(walk.violations).toEqual([]);
      for (const reason of new Set(walk.resets)) expect(CAUSES).toContain(reason);
    }
  });

  async function write(table: string, random: () => number, signal: AbortSignal): Promise<void> {
    const client = await world.database.pool.connect();
    const id = (): number => 1 + Math.floor(random() * ROWS);
    const owner = (): string => OWNERS[Math.floor(random() * OWNERS.length)] ?? "";
    const statements = [
      () => `update ${table} set n = n + 1 where id = ${String(id())}`,
      () => `update ${table} set n = n + 1, owner = '${owner()}' where id = ${String(id())}`,
      () => `delete from ${table} where id = ${String(id())}`,
      () =>
        `insert into ${table} (id, tenant_id, owner) values (${String(id())}, 'acme', '${owner()}') on conflict do nothing`,
    ];
    try {
      while (!signal.aborted) {
        await client.query("begin");
        for (let count = random() * 3; count > 0; count -= 1) {
          await client.query(statements[Math.floor(random() * statements.length)]?.() ?? "");
        }
        await client.query(random() < 0.2 ? "rollback" : "commit");
      }
    } finally {
      client.release(true);
    }
  }
});
