import { MongoClient } from "mongodb";
import { pino } from "pino";
import { expect, it } from "vitest";
import { RecordingSink } from "../../../../../tests/support/recording-sink.ts";
import { CollectionStream } from "./collection-stream.ts";
import { EventBuffer } from "./event-buffer.ts";
import { ServerClock } from "./replica-set.ts";
import { MONGO_DEFAULTS } from "./settings.ts";
import { emptyStats } from "./stats.ts";

it("nobody waits to join a stream that was closed", async () => {
  const log = pino({ level: "silent" });
  const db = new MongoClient("mongodb://127.0.0.1:1/test").db();
  const stream = new CollectionStream(
    {
      name: "todos",
      collection: "todos",
      tenantField: "tenantId",
      hidden: new Set(),
      uuid: "1",
      hasImages: true,
    },
    {
      db,
      clock: new ServerClock(db, 0),
      features: { images: true, splitsLargeEvents: true },
      imageExpiryMs: Infinity,
      ensureImages: () => Promise.resolve(true),
      buffer: new EventBuffer(new RecordingSink(), log),
      needs: { prior: false, hidden: false },
      settings: MONGO_DEFAULTS,
      stats: emptyStats(),
      log,
      onEnded: () => undefined,
      onEmpty: () => undefined,
    },
  );
  const key = { tenant: "a", collection: "todos" };
  const waiting = stream.join(key);
  await stream.close(new Error("It was dropped."));
  await expect(waiting).rejects.toThrow("It was dropped.");
  await expect(stream.join(key)).rejects.toThrow("It was dropped.");
});
