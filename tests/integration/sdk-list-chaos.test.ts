import { createClient, type Client } from "paperdb";
import { expect, onTestFinished, test } from "vitest";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import {
  createTaskTable,
  followTasks,
  listTasks,
  TaskWriter,
  type TaskHolder,
  type TaskSchema,
} from "../support/sdk-tasks.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { createWalDatabase } from "../support/wal-database.ts";

const TOKEN_SECONDS = 2;
const BACKOFF = { minMs: 10, maxMs: 200 };

interface Scene {
  readonly server: ServerProcess;
  readonly proxy: TcpProxy;
  readonly writer: TaskWriter;
  readonly holders: readonly TaskHolder[];
  /** Holders that come later, on connections of those that are there. */
  join(): readonly TaskHolder[];
}

function holdersOf(client: Client<TaskSchema>, tenant: string): TaskHolder[] {
  return [
    listTasks(client, tenant),
    listTasks(client, tenant, 1),
    followTasks(client, tenant),
    followTasks(client, tenant, 2),
  ];
}

/** Clients of two tenants behind a proxy, while tasks of both change. */
async function openScene(database: TestDatabase): Promise<Scene> {
  await createTaskTable(database);
  const server = await startServerProcess({
    databaseUrl: database.url,
    settings: {
      sources: [{ kind: "postgres", mode: "wal" }],
      plans: { pro: { maxTokenSeconds: TOKEN_SECONDS } },
      snapshots: { batchRows: 5 },
    },
  });
  onTestFinished(() => server.stop());
  await server.untilReady();
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  const clients = new Map<string, Client<TaskSchema>>();
  for (const tenant of ["a", "b"]) {
    const { secretKey } = await server.createTenant(tenant);
    const client = createClient<TaskSchema>({ apiKey: secretKey, baseUrl: proxy.url, backoff: BACKOFF });
    onTestFinished(() => client.close());
    clients.set(tenant, client);
  }
  const join = (): TaskHolder[] =>
    Array.from(clients, ([tenant, client]) => holdersOf(client, tenant)).flat();
  const writer = new TaskWriter(database, seededRandom(4));
  onTestFinished(() => writer.stop());
  const holders = join();
  await untilLive(holders);
  return { server, proxy, writer, holders, join };
}

const untilLive = (holders: readonly TaskHolder[]): Promise<unknown> =>
  until(() => holders.every(({ isLive }) => isLive), { describe: "all live" });

/** Resolves once so many more statements were executed. */
async function progress({ writer }: Scene, statements: number): Promise<void> {
  const target = writer.count + statements;
  await until(() => writer.count >= target, { intervalMs: 1, describe: "statements" });
}

/** Stops the writer; then everybody has what is in the table, and was told nothing that cannot be. */
async function expectSame(
  scene: Scene,
  database: TestDatabase,
  holders: readonly TaskHolder[],
): Promise<void> {
  await scene.writer.stop();
  for (const holder of holders) {
    const { tenant, room } = holder;
    const { rows } = await database.query(
      "select * from tasks where tenant_id = $1 and room = coalesce($2::int, room) order by id",
      [tenant, room ?? null],
    );
    const held = (): string =>
      JSON.stringify(Array.from(holder.tasks()).toSorted((left, right) => left.id - right.id));
    const expected = JSON.stringify(rows);
    await until(() => held() === expected, {
      describe: () => `the tasks of ${tenant} in room ${room ?? "any"}: ${held()}, not ${expected}`,
    });
  }
  expect(holders.flatMap(({ faults }) => faults)).toEqual([]);
}

test("lists and snapshots are what the table is, whatever is cut, and whoever joins", async () => {
  const database = await createWalDatabase();
  const scene = await openScene(database);
  const random = seededRandom(8);
  const holders = [...scene.holders];
  for (let round = 0; round < 8; round += 1) {
    await progress(scene, 20 + 60 * random());
    await scene.proxy.cut();
    await progress(scene, 1 + 20 * random());
    await scene.proxy.mend();
    if (round % 3 === 0) holders.push(...scene.join());
  }
  await untilLive(holders);
  await expectSame(scene, database, holders);
  // Documents of a room were fetched again for who joined; those of all rooms are kept by a list.
  const [, , ofAllRooms] = scene.holders;
  expect(ofAllRooms?.resets).toEqual([]);
}, 300_000);

test("lists and snapshots go on when the server is killed, and come anew after a reset", async () => {
  const database = await createWalDatabase();
  const scene = await openScene(database);
  const { server, holders } = scene;
  const random = seededRandom(9);
  for (let kills = 0; kills < 3; kills += 1) {
    await progress(scene, 20 + 60 * random());
    await server.kill();
    await progress(scene, 1 + 60 * random());
    await server.start();
  }
  await untilLive(holders);
  expect(holders.flatMap(({ resets }) => resets)).toEqual([]);
  await database.query("truncate tasks");
  const followers = holders.slice(2, 4);
  await until(() => followers.every(({ resets }) => resets.length > 0));
  await progress(scene, 50);
  await expectSame(scene, database, holders);
}, 300_000);
