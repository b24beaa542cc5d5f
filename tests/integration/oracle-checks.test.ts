import { describe, expect, it } from "vitest";
import { unexplainedResets, type Cause } from "../oracle/causes.ts";
import { checkList } from "../oracle/check-list.ts";
import { checkSequences } from "../oracle/check-sequence.ts";
import { eventName, type ExpectedEvent } from "../oracle/expected-events.ts";
import type { Image } from "../oracle/image.ts";
import { Journal } from "../oracle/journal.ts";
import { fingerprint, Observations, type Stretch } from "../oracle/observations.ts";
import type { CollectionPlan, SubscriberPlan } from "../oracle/plan.ts";
import { planWorld } from "../oracle/plan-world.ts";
import { Viewer } from "../oracle/viewer.ts";

/** Inserts of the documents 1, 2, 3 and 4, and then a delete of 2. */
const EVENTS: readonly ExpectedEvent[] = [1, 2, 3, 4]
  .map((mark) => event("insert", mark))
  .concat(event("delete", 2));
const [ONE = "", TWO = "", THREE = "", FOUR = "", GONE = ""] = EVENTS.map((each) =>
  each.kind === "event" ? each.name : "",
);

function event(type: string, mark: number): ExpectedEvent {
  const documentId = String(mark);
  const isDelete = type === "delete";
  const name = eventName(type, documentId, mark);
  return { kind: "event", name, documentId, mark, isDelete, askedAtMs: mark * 10, transaction: mark };
}

function stretch(events: readonly string[], more: Partial<Stretch> = {}): Stretch {
  const readyAtMs = more.snapshot === undefined ? 5 : 60;
  return { snapshot: undefined, before: [], readyAtMs, events, ...more };
}

function objections(stretches: readonly Stretch[], isMerged = false): string {
  const scope = { expected: EVENTS, hasExactSnapshots: true, isMerged };
  return checkSequences(stretches, scope).join("\n");
}

const snapshotOf = (...marks: readonly number[]) => new Map(marks.map((mark) => [String(mark), mark]));

describe("the oracle's checks of sequences", () => {
  it("accept what is complete, from the beginning or from later on", () => {
    expect(objections([stretch([ONE, TWO, THREE, FOUR, GONE])])).toBe("");
    expect(objections([stretch([THREE, FOUR, GONE], { readyAtMs: 25 })])).toBe("");
    expect(objections([stretch([ONE]), stretch([FOUR, GONE], { readyAtMs: 35 })])).toBe("");
    expect(objections([stretch([GONE], { snapshot: snapshotOf(1, 2, 4), before: [THREE] })])).toBe("");
    expect(objections([stretch([], { snapshot: snapshotOf(1, 3, 4) })])).toBe("");
    expect(objections([stretch([ONE, TWO, THREE, FOUR, GONE])], true)).toBe("");
  });

  it.each<[string, readonly Stretch[], string]>([
    ["nothing at all", [], "never ready"],
    ["a gap", [stretch([ONE, THREE, FOUR, GONE])], "missed before it"],
    ["a repetition", [stretch([ONE, TWO, TWO, THREE, FOUR, GONE])], "came again"],
    ["another order", [stretch([ONE, THREE, TWO, FOUR, GONE])], "missed before it"],
    ["a missing beginning", [stretch([TWO, THREE, FOUR, GONE])], "missed after ready"],
    ["a missing end", [stretch([ONE, TWO])], "missed at the end"],
    ["what it should not get", [stretch([ONE, "insert 9 9"])], "should not have got"],
    ["what came before a reset", [stretch([ONE, TWO]), stretch([TWO, THREE, FOUR, GONE])], "came again"],
    [
      "a document too many",
      [stretch([GONE], { snapshot: snapshotOf(1, 2, 3, 4, 5) })],
      "should not be there",
    ],
    ["a document too few", [stretch([GONE], { snapshot: snapshotOf(1, 2, 3) })], "4 should be 4"],
    [
      "what the documents have",
      [stretch([GONE], { snapshot: snapshotOf(1, 2, 3, 4), before: [THREE] })],
      "3",
    ],
    ["nothing after old documents", [stretch([], { snapshot: snapshotOf(1, 2) })], "snapshot"],
  ])("object to %s", (_, stretches, text) => {
    expect(objections(stretches)).toContain(text);
  });

  it("object to a gap across a truncation", () => {
    const expected: ExpectedEvent[] = [
      event("insert", 1),
      { kind: "barrier", askedAtMs: 15 },
      event("insert", 2),
    ];
    const scope = { expected, hasExactSnapshots: true, isMerged: false };
    expect(checkSequences([stretch([ONE, TWO])], scope)).not.toEqual([]);
    expect(checkSequences([stretch([ONE]), stretch([TWO], { readyAtMs: 16 })], scope)).toEqual([]);
  });

  it("object to states of a list that never were, or come too late", () => {
    const states = [[], [1], [1, 2, 3]].map(fingerprint);
    expect(checkList(states, EVENTS)).toEqual([]);
    expect(checkList([fingerprint([2])], EVENTS)).not.toEqual([]);
    expect(checkList(states.toReversed(), EVENTS)).not.toEqual([]);
  });
});

describe("the oracle's observations", () => {
  it("object to a cursor that is refused without a reset", () => {
    const seen = new Observations();
    seen.add({ kind: "opened", withCursor: false });
    seen.add({ kind: "ready", resumed: false });
    seen.add({ kind: "opened", withCursor: true });
    seen.add({ kind: "ready", resumed: false });
    expect(seen.violations).not.toEqual([]);
  });

  it("begin another stretch with a reset", () => {
    const seen = new Observations();
    seen.add({ kind: "opened", withCursor: false });
    seen.add({ kind: "ready", resumed: false });
    seen.add({ kind: "event", name: ONE, documentId: "1", mark: 1 });
    seen.add({ kind: "reset", reason: "truncated" });
    seen.add({ kind: "ready", resumed: false });
    expect(seen.stretches.map(({ events }) => events)).toEqual([[ONE], []]);
    expect(seen.resets.map(({ reason }) => reason)).toEqual(["truncated"]);
    expect(seen.violations).toEqual([]);
  });
});

describe("the oracle's causes", () => {
  const causes: readonly Cause[] = [{ kind: "truncated", collection: "notes", fromMs: 10, untilMs: 10 }];
  const stretches = [stretch([])];
  const unexplained = (collection: string, ...atMs: readonly number[]) => {
    const resets = atMs.map((each) => ({ atMs: each, reason: "truncated" }));
    return unexplainedResets("wal", { collection }, { resets, stretches, causes, isForgetful: false });
  };

  it("explain one reset each, later ones, of whom they concern", () => {
    expect(unexplained("notes", 11)).toEqual([]);
    expect(unexplained("notes", 11, 12)).toHaveLength(1);
    expect(unexplained("notes", 9)).toHaveLength(1);
    expect(unexplained("orders", 11)).toHaveLength(1);
  });

  it("do not explain a reset of documents by a killed server, where the log is the history", () => {
    const killed: readonly Cause[] = [{ kind: "server_killed", fromMs: 0, untilMs: 20 }];
    const resets = [{ atMs: 11, reason: "cursor_not_usable" }];
    const of = (source: "wal" | "notify" | "mongodb") =>
      unexplainedResets(
        source,
        { collection: "notes" },
        { resets, stretches, causes: killed, isForgetful: false },
      );
    expect([of("wal"), of("mongodb"), of("notify")].map(({ length }) => length)).toEqual([1, 1, 0]);
  });
});

describe("the oracle's viewers", () => {
  const collection: CollectionPlan = {
    name: "notes",
    keyKind: "number",
    tenantColumn: "tenant_id",
    columns: [
      { name: "room", type: "text", values: [], hidden: false },
      { name: "secret", type: "int", values: [], hidden: true },
    ],
    isBodyExternal: false,
    isPartitioned: false,
    madeAt: 0,
  };
  const plan: SubscriberPlan = {
    name: "1",
    client: "sse",
    tenant: "a",
    collection: "notes",
    where: { room: "x" },
    grant: { keyWhere: { secret: 1 }, token: undefined },
    snapshot: false,
    from: 0,
    absences: [],
    forgets: false,
  };
  const image = (mark: number, document: Readonly<Record<string, string | number>>): Image => ({
    mark,
    documentId: "7",
    tenant: String(document["tenant_id"]),
    document: { id: 7, mark, ...document },
  });

  it("object to whatever a subscriber must not get", () => {
    const journal = new Journal();
    journal.addImage(image(1, { tenant_id: "a", room: "x", secret: 1 }));
    journal.addImage(image(2, { tenant_id: "b", room: "x", secret: 1 }));
    journal.addImage(image(3, { tenant_id: "a", room: "y", secret: 1 }));
    journal.addImage(image(4, { tenant_id: "a", room: "x", secret: 2 }));
    const viewer = new Viewer(plan, collection);
    const objection = (mark: number, more: object = {}): string =>
      viewer.objection(
        { documentId: "7", document: { id: 7, mark, tenant_id: "a", room: "x", ...more } },
        journal,
      ) ?? "";
    expect(objection(1)).toBe("");
    expect(objection(2)).toContain("tenant");
    expect(objection(3)).toContain("outside its filters");
    expect(objection(4)).toContain("outside its filters");
    expect(objection(5)).toContain("never written");
    expect(objection(1, { secret: 1 })).toContain("another document");
    expect(objection(1, { room: "z" })).toContain("another document");
  });
});

it("the oracle's plans are the same for the same seed, and others for others", () => {
  for (const source of ["wal", "notify", "mongodb"] as const) {
    expect(planWorld(source, 7, 0.4)).toEqual(planWorld(source, 7, 0.4));
    expect(planWorld(source, 7, 0.4)).not.toEqual(planWorld(source, 8, 0.4));
  }
});
