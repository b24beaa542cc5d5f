import { createClient, type Client } from "paperdb";
import { expect, onTestFinished, test } from "vitest";
import { createDatabase } from "../support/postgres.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import {
  createRoundTables,
  followRounds,
  RoundsWriter,
  rowsOf,
  settleRounds,
} from "../support/sdk-rounds.ts";
import type { Rounds } from "../support/sdk-rounds.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";

const TOKEN_SECONDS = 2;
const BACKOFF = { minMs: 10, maxMs: 200 };

interface Scene extends Rounds {
  readonly server: ServerProcess;
  readonly proxy: TcpProxy;
}

/** Two clients, one with the key and one with `getToken`, each subscribed to all collections. */
async function openScene(): Promise<Scene> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  await createRoundTables(database);
  const server = await startServerProcess({
    databaseUrl: database.url,
    settings: { plans: { pro: { maxTokenSeconds: TOKEN_SECONDS } } },
  });
  onTestFinished(() => server.stop());
  const { secretKey } = await server.createTenant("alice");
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  const backend = createClient({ apiKey: secretKey, baseUrl: proxy.url });
  const clients: Client[] = [
    createClient({ apiKey: secretKey, baseUrl: proxy.url, backoff: BACKOFF }),
    createClient({
      baseUrl: proxy.url,
      backoff: BACKOFF,
      getToken: ({ collections, signal }) =>
        backend.realtime.generateToken({ collections, expiresIn: TOKEN_SECONDS, signal }),
    }),
  ];
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  const writer = new RoundsWriter(rowsOf(database));
  onTestFinished(() => writer.stop());
  return { server, proxy, writer, followers: await followRounds(clients, writer) };
}

test("the network is cut again and again: every event once, in order, and never a reset", async () => {
  const scene = await openScene();
  const { proxy, writer, followers } = scene;
  const random = seededRandom(20_240_607);
  while (writer.begun < 1_500) {
    await writer.progress(10 + 90 * random());
    await proxy.cut();
    await writer.progress(1 + 30 * random());
    await proxy.mend();
  }
  await settleRounds(scene);
  expect(followers.map(({ stretches }) => stretches.length)).toEqual(followers.map(() => 1));
}, 300_000);

test("the server is killed again and again as well: every event once, in order, or a reset", async () => {
  const scene = await openScene();
  const { server, proxy, writer, followers } = scene;
  const random = seededRandom(7);
  for (let kills = 0; kills < 4;) {
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
