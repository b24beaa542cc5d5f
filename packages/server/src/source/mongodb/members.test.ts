import { Int32 } from "mongodb";
import fc from "fast-check";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { ChangeSink, SourceEvent } from "../change-source.ts";
import type { RawChange } from "./change.ts";
import { EventBuffer } from "./event-buffer.ts";
import { Members } from "./members.ts";
import { barrierPosition } from "./position.ts";
import { emptyStats } from "./stats.ts";

const COLLECTION = {
  name: "todos",
  collection: "todos",
  tenantField: "tenantId",
  hidden: new Set<string>(),
  uuid: undefined,
  hasImages: true,
};
const log = pino({ level: "silent" });

function setUp(maxDocumentBytes = 1_000, needs = { prior: false, hidden: false }) {
  const events: SourceEvent[] = [];
  const resets: string[] = [];
  const sink: ChangeSink = {
    append: (appended) => void events.push(...appended),
    lost: (keys, position, reason) => {
      if (keys === "all") throw new Error("Only members are reset.");
      for (const { tenant } of keys) resets.push(`${tenant} ${reason} ${position}`);
    },
    dropped: () => undefined,
  };
  const buffer = new EventBuffer(sink, log);
  const members = new Members({
    collection: COLLECTION,
    buffer,
    needs,
    maxDocumentBytes,
    stats: emptyStats(),
    log,
  });
  return { members, buffer, events, resets };
}

/** Perhaps not for the first time. */
const AGAIN = { withHidden: false, isCaughtUp: false };
const NEW = { withHidden: false, isCaughtUp: true };

const timeAt = (n: number): string => n.toString(16).padStart(16, "0");

const insert = (id: number, tenantId: string, text = ""): RawChange => ({
  operationType: "insert",
  documentKey: { _id: new Int32(id) },
  fullDocument: { _id: new Int32(id), tenantId, text },
});

const idsOf = (events: readonly SourceEvent[], tenant: string): readonly number[] =>
  events
    .filter(({ channel }) => channel.tenant === tenant)
    .map(({ body }) => ("documentId" in body ? Number(body.documentId) : -1));

describe("Members", () => {
  it("get every event of theirs once and in order, from wherever the stream is read again (property)", () => {
    const group = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 });
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("read" as const), events: fc.integer({ min: 1, max: 5 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const), groupsBack: fc.nat(4) }) },
    );
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 12 }), fc.array(step), (groups, steps) => {
        const oplog = groups.flatMap((tenants, index) =>
          tenants.map((tenant) => ({ tenant, time: index + 1 })),
        );
        const { members, buffer, events, resets } = setUp();
        for (const tenant of ["a", "b"]) members.admit({ tenant, collection: "todos" }, timeAt(0));
        let next = 0;
        const read = (count: number): void => {
          for (const { tenant, time } of oplog.slice(next, next + count)) {
            members.take(insert(next, tenant), timeAt(time), AGAIN);
            next += 1;
          }
        };
        for (const current of steps) {
          if (current.kind === "read") read(current.events);
          else {
            const readTo = oplog[Math.max(0, next - 1)]?.time ?? 1;
            const from = Math.max(1, readTo - current.groupsBack);
            next = oplog.findIndex(({ time }) => time === from);
            members.startReading();
          }
        }
        read(oplog.length);
        buffer.flush();
        for (const tenant of ["a", "b"]) {
          const expected = oplog.flatMap((entry, index) => (entry.tenant === tenant ? [index] : []));
          expect(idsOf(events, tenant)).toEqual(expected);
        }
        expect(idsOf(events, "c")).toEqual([]);
        expect(resets).toEqual([]);
      }),
    );
  });

  it("get nothing that committed before they joined", () => {
    const { members, buffer, events } = setUp();
    const { lastPosition } = members.admit({ tenant: "a", collection: "todos" }, timeAt(5));
    members.take(insert(1, "a"), timeAt(4), AGAIN);
    members.take(insert(2, "a"), timeAt(5), AGAIN);
    members.take(insert(3, "a"), timeAt(6), AGAIN);
    buffer.flush();
    expect(idsOf(events, "a")).toEqual([3]);
    expect((events[0]?.position ?? "") > lastPosition).toBe(true);
  });

  it("are reset once where an event that is read again is another one", () => {
    const { members, buffer, events, resets } = setUp();
    members.admit({ tenant: "a", collection: "todos" }, timeAt(0));
    members.take(insert(1, "a"), timeAt(1), AGAIN);
    for (let again = 0; again < 2; again += 1) {
      members.startReading();
      members.take(insert(99, "a"), timeAt(1), AGAIN);
    }
    members.take(insert(2, "a"), timeAt(2), AGAIN);
    buffer.flush();
    expect(resets).toEqual([expect.stringMatching(/^a history_changed /)]);
    expect(idsOf(events, "a")).toEqual([1, 2]);
  });

  it("are reset once instead of a document beyond the bound, however often it is read", () => {
    const { members, buffer, events, resets } = setUp(100);
    members.admit({ tenant: "a", collection: "todos" }, timeAt(0));
    members.admit({ tenant: "b", collection: "todos" }, timeAt(0));
    for (let again = 0; again < 2; again += 1) {
      members.startReading();
      members.take(insert(1, "a", "x".repeat(200)), timeAt(1), AGAIN);
      members.take(insert(2, "a"), timeAt(1), AGAIN);
      members.take(insert(3, "b"), timeAt(1), AGAIN);
    }
    buffer.flush();
    expect(resets).toEqual([expect.stringMatching(/^a change_too_large /)]);
    expect(idsOf(events, "a")).toEqual([2]);
    expect(idsOf(events, "b")).toEqual([3]);
    const [, , position = ""] = resets[0]?.split(" ") ?? [];
    expect((events[0]?.position ?? "") > position).toBe(true);
    expect(members.get("a")?.readableSince).toBe(position);
  });

  it("are reset at a position above all that they had, when changes are lost", () => {
    const { members, buffer, events, resets } = setUp();
    members.admit({ tenant: "a", collection: "todos" }, timeAt(0));
    members.take(insert(1, "a"), timeAt(9), AGAIN);
    members.lost(timeAt(7), "history_lost");
    members.take(insert(1, "a"), timeAt(9), AGAIN);
    members.take(insert(2, "a"), timeAt(10), AGAIN);
    buffer.flush();
    expect(idsOf(events, "a")).toEqual([1, 2]);
    const [, , position = ""] = resets[0]?.split(" ") ?? [];
    expect(position > (events[0]?.position ?? "")).toBe(true);
    expect(position < (events[1]?.position ?? "")).toBe(true);
  });

  it("stand where the stream stands, but not below their events, and are told what comes after that", () => {
    const { members, buffer, events, resets } = setUp();
    members.admit({ tenant: "a", collection: "todos" }, timeAt(5));
    expect(members.reach("b", timeAt(9))).toBeUndefined();
    expect(members.reach("a", timeAt(4))).toBe(barrierPosition(timeAt(5)));
    members.take(insert(1, "a"), timeAt(8), NEW);
    buffer.flush();
    expect(members.reach("a", timeAt(7))).toBe(events[0]?.position);
    members.take(insert(2, "a"), timeAt(8), NEW);
    expect(members.reach("a", timeAt(12))).toBe(barrierPosition(timeAt(12)));
    expect(members.reach("a", timeAt(11))).toBe(barrierPosition(timeAt(12)));
    members.startReading();
    for (const id of [1, 2]) members.take(insert(id, "a"), timeAt(8), AGAIN);
    members.take(insert(3, "a"), timeAt(13), AGAIN);
    buffer.flush();
    expect(idsOf(events, "a")).toEqual([1, 2, 3]);
    expect(resets).toEqual([]);
  });

  it("are reset above what they were told when a change comes late, each time", () => {
    const { members, buffer, events, resets } = setUp();
    for (const tenant of ["a", "b"]) members.admit({ tenant, collection: "todos" }, timeAt(5));
    members.take(insert(1, "a"), timeAt(9), NEW);
    members.take(insert(2, "a"), timeAt(8), NEW);
    const told = members.reach("b", timeAt(20)) ?? "";
    members.startReading();
    members.take(insert(3, "b"), timeAt(20), AGAIN);
    members.take(insert(4, "b"), timeAt(19), NEW);
    members.take(insert(5, "b"), timeAt(21), NEW);
    buffer.flush();
    expect(resets.map((reset) => reset.split(" ").slice(0, 2))).toEqual([
      ["a", "change_late"],
      ["b", "change_late"],
      ["b", "change_late"],
    ]);
    expect(idsOf(events, "a")).toEqual([1]);
    expect(idsOf(events, "b")).toEqual([5]);
    const [ofA = "", first = "", second = ""] = resets.map((reset) => reset.split(" ")[2]);
    expect([ofA > (events[0]?.position ?? ""), first > told, second > first]).toEqual([true, true, true]);
    expect((events[1]?.position ?? "") > second).toBe(true);
  });

  it("drop out some time after they left", () => {
    const { members } = setUp();
    members.admit({ tenant: "a", collection: "todos" }, timeAt(0)).leftAtMs = 100;
    members.admit({ tenant: "b", collection: "todos" }, timeAt(0));
    expect(members.earliestLeftAtMs).toBe(100);
    expect(members.dropLeft(99)).toBe(false);
    expect(members.dropLeft(100)).toBe(true);
    expect([...members.tenants()]).toEqual(["b"]);
    expect(members.earliestLeftAtMs).toBe(Infinity);
  });
});

describe("EventBuffer", () => {
  it("keeps the order of events and resets while the log is busy", async () => {
    const said: string[] = [];
    let release: (() => void) | undefined;
    const sink: ChangeSink = {
      append(events) {
        said.push(`append ${idsOf(events, "a").join()}`);
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      },
      lost: () => void said.push("lost"),
      dropped: () => void said.push("dropped"),
    };
    const buffer = new EventBuffer(sink, log);
    const event = (id: number): SourceEvent => ({
      channel: { tenant: "a", collection: "todos" },
      position: timeAt(id),
      committedAtMs: undefined,
      body: { type: "insert", documentId: String(id), document: "{}" },
    });
    buffer.push(event(1));
    buffer.push(event(2));
    buffer.lost([{ tenant: "a", collection: "todos" }], "p", "why");
    buffer.push(event(3));
    buffer.dropped("todos", "why");
    buffer.flush();
    expect(said).toEqual(["append 1,2"]);
    const pressure = buffer.pressure();
    release?.();
    await pressure;
    expect(said).toEqual(["append 1,2", "lost", "append 3"]);
    const more = buffer.pressure();
    release?.();
    await more;
    expect(said.at(-1)).toBe("dropped");
    expect(buffer.pressure()).toBeUndefined();
  });

  it("resets the channels of events that the log refuses, and goes on", async () => {
    const said: string[] = [];
    const sink: ChangeSink = {
      append: () => Promise.reject(new Error("full")),
      lost: (_keys, position, reason) => void said.push(`${reason} ${position}`),
      dropped: () => undefined,
    };
    const buffer = new EventBuffer(sink, log);
    buffer.push({
      channel: { tenant: "a", collection: "todos" },
      position: "p1",
      committedAtMs: undefined,
      body: { type: "insert", documentId: "1", document: "{}" },
    });
    buffer.flush();
    await buffer.pressure();
    expect(said).toEqual(["log_failed p1"]);
  });

  it("deliver no update without its prior document once filters need it", () => {
    const needs = { prior: false, hidden: false };
    const { members, buffer, events, resets } = setUp(1_000, needs);
    members.admit({ tenant: "a", collection: "todos" }, timeAt(0));
    const update = (id: number, before: object = {}): RawChange => ({
      operationType: "update",
      documentKey: { _id: new Int32(id) },
      fullDocument: { _id: new Int32(id), tenantId: "a" },
      updateDescription: { updatedFields: {}, removedFields: [] },
      ...before,
    });
    members.take(update(1), timeAt(1), AGAIN);
    expect(members.hasUnknownPrior).toBe(true);
    needs.prior = true;
    members.take(update(2), timeAt(2), AGAIN);
    members.take(update(3, { fullDocumentBeforeChange: { tenantId: "a", n: 1 } }), timeAt(3), AGAIN);
    members.take(insert(4, "a"), timeAt(4), AGAIN);
    buffer.flush();
    expect(idsOf(events, "a")).toEqual([1, 3, 4]);
    expect(events.map(({ body }) => "documentId" in body && body.prior)).toEqual([
      undefined,
      '{"tenantId":"a","n":1}',
      undefined,
    ]);
    expect(resets.map((reset) => reset.split(" ").slice(0, 2).join(" "))).toEqual(["a prior_unknown"]);
    members.lost(timeAt(5), "images_enabled");
    expect(members.hasUnknownPrior).toBe(false);
  });
});
