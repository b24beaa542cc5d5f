import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { SourceEvent } from "../change-source.ts";
import { CONTROL_CHANNEL, PUBLISH_CHANNEL } from "./channels.ts";
import { NotifyBarriers } from "./notify-barriers.ts";
import { Receiver } from "./receiver.ts";
import { NOTIFY_DEFAULTS } from "./settings.ts";
import { emptyStats } from "./stats.ts";
import type { CapturedTable } from "./table.ts";
import { Watches } from "./watches.ts";
import { controlPayload } from "./wire.ts";

const TABLE: CapturedTable = {
  collection: "todos",
  oid: 5,
  name: { schema: "public", table: "todos" },
  tenantColumn: "tenant_id",
  primaryKey: ["id"],
  hidden: new Set(),
  virtualColumns: [],
  shape: "",
  partitions: [],
  attachments: "[]",
  triggers: [],
};

const turn = () => new Promise((resolve) => setImmediate(resolve));
const insert = (id: string) => `["i",1,"7.1",5,"a","${id}",0]\n{"id":${id}}`;

/** A receiver of one channel, whose outbox answers when and what the test says. */
function setUp() {
  const told: string[] = [];
  const fetches: { resolve(message: string | undefined): void; reject(error: Error): void }[] = [];
  const watches = new Watches();
  const channel = watches.add({ tenant: "a", collection: "todos" }, TABLE).notifyChannel;
  const receiver = new Receiver({
    sink: {
      append: (events: readonly SourceEvent[]) => {
        for (const { body } of events) told.push("documentId" in body ? body.documentId : body.topic);
      },
      lost: (_channels, _position, reason) => told.push(`lost: ${reason}`),
      dropped: () => undefined,
    },
    topics: {
      publish: (_tenant, topic) => void told.push(topic),
      lost: (reason) => told.push(`topics lost: ${reason}`),
    },
    watches,
    barriers: new NotifyBarriers(() => Promise.resolve()),
    fetchOutbox: () =>
      new Promise((resolve, reject) => {
        fetches.push({ resolve, reject });
      }),
    settings: { ...NOTIFY_DEFAULTS, maxPendingBytes: 10_000 },
    stats: emptyStats(),
    log: pino({ level: "silent" }),
  });
  return { receiver, watches, channel, told, fetches };
}

describe("Receiver", () => {
  it("delivers nothing of before an outage after it, though it was being fetched", async () => {
    const { receiver, channel, told, fetches } = setUp();
    receiver.push(channel, "@1");
    await turn();
    receiver.clear();
    receiver.recover("source_reconnected");
    receiver.push(channel, insert("2"));
    fetches[0]?.resolve(insert("1"));
    await turn();
    expect(told).toEqual(["lost: source_reconnected", "topics lost: source_reconnected", "2"]);
  });

  it("hands on nothing from behind a gap before everybody is told of it", async () => {
    const { receiver, channel, told } = setUp();
    receiver.clear();
    receiver.push(channel, insert("1"));
    receiver.push(PUBLISH_CHANNEL, `["p",1,"7.1",5,"a","order.created",0]\n{}`);
    receiver.push(CONTROL_CHANNEL, controlPayload({ reason: "truncated", tableOid: TABLE.oid }));
    await turn();
    expect(told).toEqual([]);
    receiver.recover("source_reconnected");
    receiver.push(channel, insert("2"));
    await turn();
    expect(told).toEqual(["lost: source_reconnected", "topics lost: source_reconnected", "2"]);
  });

  it("goes on after a forged document id that is none", async () => {
    const { receiver, channel, told } = setUp();
    receiver.push(channel, `${JSON.stringify(["i", 1, "7.1", 5, "a", '{"\\q"', 1])}\n{"id":1}`);
    await turn();
    receiver.push(channel, insert("2"));
    await turn();
    expect(told).toEqual(["2"]);
  });

  it("delivers nothing of before an overflow after it, and does not reset again for it", async () => {
    const { receiver, channel, told, fetches } = setUp();
    receiver.push(channel, "@1");
    await turn();
    receiver.push(channel, "x".repeat(10_000));
    fetches[0]?.reject(new Error("gone"));
    receiver.push(channel, insert("2"));
    await turn();
    expect(told).toEqual(["lost: overloaded", "topics lost: overloaded", "2"]);
  });

  it("delivers no update without its prior document once a collection is filtered", async () => {
    const update = (id: string, prior = "") => `["u",1,"7.1",5,"a","${id}",0]\n{"id":${id}}${prior}`;
    const { receiver, channel, told } = setUp();
    receiver.push(channel, update("1"));
    await turn();
    receiver.filter("todos", []);
    receiver.push(channel, update("2"));
    receiver.push(channel, update("3", '\u001e{"id":0}'));
    receiver.push(channel, insert("4"));
    await turn();
    receiver.filter("todos", []);
    expect(told).toEqual(["1", "lost: prior_unknown", "lost: prior_unknown", "3", "4"]);
  });

  it("takes nothing back when a collection is filtered whose prior documents are known", async () => {
    const { receiver, channel, told } = setUp();
    receiver.push(channel, insert("1"));
    await turn();
    receiver.filter("todos", []);
    expect(told).toEqual(["1"]);
  });

  it("delivers nothing when filters name a column that is virtual now", async () => {
    const { receiver, watches, channel, told } = setUp();
    receiver.filter("todos", ["state"]);
    receiver.push(channel, insert("1"));
    await turn();
    for (const collection of watches.collections()) {
      collection.table = { ...TABLE, hidden: new Set(["state"]), virtualColumns: ["state"] };
    }
    receiver.push(channel, insert("2"));
    await turn();
    expect(told).toEqual(["1", "lost: prior_unknown"]);
  });

  it.each([
    ["an insert", '["i",1,"7.1",5,"a","1",0]\n{"id":1,"secrets":2}'],
    ["the row before an update", '["u",1,"7.1",5,"a","1",0]\n{"id":1,"secret":2}\u001e{"id":1,"secrets":2}'],
    ["a delete", '["d",1,"7.1",5,"a","1",0]\n{"id":1,"data":{"secret":2}}'],
  ])(
    "shows nothing of %s that lacks a hidden column, which may have another name now",
    async (_what, sent) => {
      const { receiver, watches, channel, told } = setUp();
      for (const collection of watches.collections()) {
        collection.table = { ...TABLE, hidden: new Set(["secret"]) };
      }
      receiver.push(channel, '["i",1,"7.1",5,"a","0",0]\n{"id":0,"s\\u0065cret":2}');
      receiver.push(channel, sent);
      await turn();
      expect(told).toEqual(["0", "lost: collection_changed"]);
    },
  );

  it.each([
    ["swept", undefined],
    ["out of reach", new Error("no connection")],
  ])("says so when a document or an event in the outbox is %s", async (_what, failure) => {
    const { receiver, channel, told, fetches } = setUp();
    for (const on of [channel, PUBLISH_CHANNEL]) {
      receiver.push(on, "@1");
      await turn();
      if (failure === undefined) fetches.pop()?.resolve(undefined);
      else fetches.pop()?.reject(failure);
      await turn();
    }
    expect(told).toEqual(["lost: change_too_large", "topics lost: change_too_large"]);
  });
});
