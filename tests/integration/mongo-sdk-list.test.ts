import { createClient, type ChangeEvent, type DocumentList } from "paperdb";
import { expect, onTestFinished, test } from "vitest";
import { createMongoDatabase } from "../support/mongo.ts";
import { startProxy } from "../support/proxy.ts";
import { startTestServer } from "../support/realtime-server.ts";
import { SdkRecorder } from "../support/sdk-recorder.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { until } from "../support/until.ts";

interface Task {
  readonly _id: number;
  readonly room: number;
}

const sorted = (tasks: readonly Task[]): string =>
  JSON.stringify(tasks.toSorted((left, right) => left._id - right._id));

test("lists are what the collection is, while it changes and connections are cut", async () => {
  const mongo = await createMongoDatabase();
  onTestFinished(() => mongo.drop());
  const tasks = mongo.db.collection<{ _id: number; tenantId: string; room: number; n: number }>("tasks");
  await mongo.createCollection("tasks");
  const server = await startTestServer({ mongodbUrl: mongo.url });
  onTestFinished(() => server.close());
  const { secretKey } = await server.createTenant("a");
  const proxy = await startProxy(server.url);
  onTestFinished(() => proxy.close());
  const client = createClient<{ tasks: Task }>({
    apiKey: secretKey,
    baseUrl: server.url,
    realtimeUrl: proxy.url,
    backoff: { minMs: 10, maxMs: 200 },
  });
  onTestFinished(() => client.close());
  const { realtime } = client;
  const errors: unknown[] = [];
  const open = (where?: { room: number }): DocumentList<Task> =>
    realtime.list("tasks", { where, onError: (error) => errors.push(error) });
  // A subscription that is there before the list of the same documents.
  const recorder = new SdkRecorder<ChangeEvent<"tasks", Task>>();
  realtime.subscribe("tasks", recorder.listener, recorder.options);
  await until(() => recorder.isLive);
  const lists: { readonly room?: number; readonly list: DocumentList<Task> }[] = [{ list: open() }];
  const random = seededRandom(5);
  const below = (limit: number): number => Math.floor(limit * random());
  for (let step = 0; step < 120; step += 1) {
    const _id = below(30);
    const tenantId = random() < 0.8 ? "a" : "b";
    const room = below(3);
    const action = below(4);
    if (action === 0) await tasks.deleteOne({ _id });
    else if (action === 1) await tasks.updateMany({ _id: { $gte: _id, $lt: _id + 3 } }, { $set: { room } });
    else await tasks.replaceOne({ _id }, { tenantId, room, n: step }, { upsert: true });
    if (step % 20 === 5) lists.push({ room, list: open({ room }) });
    if (step % 30 === 10) await proxy.cut();
    if (step % 30 === 13) await proxy.mend();
  }
  for (const { room, list } of lists) {
    const filter = room === undefined ? { tenantId: "a" } : { tenantId: "a", room };
    const expected = sorted(await tasks.find(filter).toArray());
    await until(() => sorted(list.current) === expected, {
      describe: () => `room ${room ?? "any"}: ${sorted(list.current)}, not ${expected}`,
    });
  }
  expect([errors, recorder.errors]).toEqual([[], []]);
}, 200_000);
