import { expect, onTestFinished, test } from "vitest";
import { createDatabase } from "../support/postgres.ts";
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

interface Scene extends Rounds {
  readonly server: ServerProcess;
  readonly proxy: TcpProxy;
}

/** SDK clients behind a proxy, each subscribed to all collections, while they are written to. */
async function openScene(): Promise<Scene> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  await createRoundTables(database);
  const server = await startServerProcess({ databaseUrl: database.url, settings: ROUNDS_SETTINGS });
  onTestFinished(() => server.stop());
  const { secretKey } = await server.createTenant("alice");
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  return { ...(await followRounds(secretKey, proxy.url, rowsOf(database))), server, proxy };
}

test("the network is cut again and again: every event once, in order, and never a reset", async () => {
  const scene = await openScene();
  const { proxy, writer } = scene;
  const random = seededRandom(20_240_607);
  while (writer.begun < 1_000) {
    await writer.progress(10 + 90 * random());
    await proxy.cut();
    await writer.progress(1 + 30 * random());
    await proxy.mend();
  }
  await settleRounds(scene);
  expectNoResets(scene);
}, 300_000);

test("the server is killed again and again as well: every event once, in order, or a reset", async () => {
  const scene = await openScene();
  const { server, proxy, writer, followers } = scene;
  const random = seededRandom(7);
  for (let kills = 0; kills < 3;) {
    await writer.progress(20 + 100 * random());
    await proxy.cut();
    if (random() < 0.4) {
      kills += 1;
      await server.kill();
      await server.start();
    }
    await writer.progress(1 + 30 * random());
    await proxy.mend();
  }
  await settleRounds(scene);
  for (const { stretches } of followers) expect(stretches.length).toBeGreaterThan(1);
}, 300_000);
