import { Pool } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { startPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import {
  createRoundTables,
  expectNoResets,
  followRounds,
  ROUNDS_SETTINGS,
  rowsOf,
  settleRounds,
} from "../support/sdk-rounds.ts";
import type { Rounds } from "../support/sdk-rounds.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import { createWalDatabase } from "../support/wal-database.ts";

const SETTINGS = { ...ROUNDS_SETTINGS, sources: [{ kind: "postgres" as const, mode: "wal" as const }] };

interface Scene extends Rounds {
  readonly server: ServerProcess;
  readonly proxy: TcpProxy;
  startAnother(): Promise<ServerProcess>;
}

/** SDK clients behind a proxy, each subscribed to all collections, while they are written to. */
async function openScene(
  database: Pick<TestDatabase, "url" | "query">,
  survivesDatabase = false,
): Promise<Scene> {
  await createRoundTables(database);
  const startAnother = async (): Promise<ServerProcess> => {
    const server = await startServerProcess({ databaseUrl: database.url, settings: SETTINGS });
    onTestFinished(() => server.stop());
    return server;
  };
  const server = await startAnother();
  await server.untilReady();
  const { secretKey } = await server.createTenant("alice");
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  const rounds = await followRounds(secretKey, proxy.url, rowsOf(database, survivesDatabase));
  return { ...rounds, server, proxy, startAnother };
}

test("a rolling restart: every event once, in order, and never a reset", async () => {
  const scene = await openScene(await createWalDatabase());
  const { proxy, writer } = scene;
  let current = scene.server;
  for (let round = 0; round < 2; round += 1) {
    const next = await scene.startAnother();
    const waiting = await fetch(`${next.url}/readyz`);
    expect([waiting.status, await waiting.text()]).toEqual([503, expect.stringContaining("in use")]);
    await writer.progress(20);
    const ended = current.end();
    await proxy.cut();
    await proxy.mend(next.url);
    await ended;
    await next.untilReady();
    await writer.progress(20);
    current = next;
  }
  await settleRounds(scene);
  expectNoResets(scene);
}, 300_000);

test("the server is killed again and again: every event once, in order, and never a reset", async () => {
  const scene = await openScene(await createWalDatabase());
  const { server, writer } = scene;
  const random = seededRandom(11);
  for (let kills = 0; kills < 4; kills += 1) {
    await writer.progress(10 + 60 * random());
    await server.kill();
    await writer.progress(1 + 60 * random());
    await server.start();
  }
  await settleRounds(scene);
  expectNoResets(scene);
}, 300_000);

test("the database is killed: every event that was committed once, in order, and never a reset", async () => {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  const pool = new Pool({ connectionString: postgres.url, max: 4 });
  // Connections that the kill takes away; queries on them fail by themselves.
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  const scene = await openScene(
    {
      url: postgres.url,
      query: (sql, params) => pool.query(sql, params === undefined ? undefined : [...params]),
    },
    true,
  );
  const random = seededRandom(13);
  for (let kills = 0; kills < 2; kills += 1) {
    await scene.writer.progress(10 + 60 * random());
    await postgres.kill();
    await postgres.start();
  }
  await scene.writer.progress(10);
  await settleRounds(scene);
  expectNoResets(scene);
}, 300_000);
