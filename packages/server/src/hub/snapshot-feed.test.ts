import { RealtimeError } from "@paperdb/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KEY, nextTurn, openHub } from "../../../../tests/support/hub.ts";
import { LimboSource, type Doc } from "../../../../tests/support/limbo-source.ts";
import { JSON_LINES, SnapshotPeer } from "../../../../tests/support/snapshot-peer.ts";
import { until } from "../../../../tests/support/until.ts";
import { SnapshotReads } from "../snapshot/snapshot-reads.ts";
import type { SnapshotReadsSettings } from "../snapshot/snapshot-reads-settings.ts";
import type { EventFilter } from "./delivery.ts";
import { documentFilter } from "./document-filter.ts";

const FLAGGED: EventFilter = documentFilter({
  id: "flagged",
  matches: (document) => (document as Doc).flag === 1,
  terms: [],
});

const turns = async (count: number): Promise<void> => {
  for (let done = 0; done < count; done += 1) await nextTurn();
};

function setUp(
  maxEventsPerChannel = 1_000,
  readsSettings: Partial<SnapshotReadsSettings> = { shareMs: 0 },
  heartbeatIntervalMs = 60_000,
) {
  const reads = new SnapshotReads(readsSettings);
  const { log, hub, close } = openHub({
    limits: { maxEventsPerChannel },
    settings: { maxSliceBytes: 100, heartbeatIntervalMs },
    snapshots: reads,
  });
  const source = new LimboSource();
  source.sink = log.sinkFor(source.name);
  const connect = async (filter?: EventFilter, cursor?: string): Promise<SnapshotPeer> => {
    const peer = new SnapshotPeer();
    const channel = await hub.open(source, KEY, cursor);
    const request = { target: peer, format: JSON_LINES, filter, cursor, snapshot: true };
    peer.subscription = hub.subscribe(channel, request);
    return peer;
  };
  const resume = (peer: SnapshotPeer): void => {
    peer.reads = true;
    if (peer.subscription !== undefined) hub.resume(peer.subscription);
  };
  return { hub, log, reads, source, connect, resume, close };
}

async function untilLive(peers: readonly SnapshotPeer[]): Promise<void> {
  await until(() => peers.every(({ isLive, ended }) => isLive || ended !== undefined), { intervalMs: 5 });
  await turns(20);
}

/** Nothing is read, waits or is held any more. */
async function untilIdle(reads: SnapshotReads): Promise<void> {
  await until(() => Object.values(reads.stats()).every((figure) => figure === 0), {
    intervalMs: 5,
    describe: () => `nothing to be held, got ${JSON.stringify(reads.stats())}`,
  });
}

describe("a subscription with a snapshot", () => {
  it("gets documents, what they do not have yet, ready, and changes", async () => {
    const { source, connect } = setUp();
    for (const id of ["1", "2", "3"]) source.write(id, false, true);
    source.write("1", false, false);
    // It was received when the channel was not watched yet: the snapshot must not be taken for complete.
    const peer = await connect();
    await turns(50);
    expect(peer.isLive).toBe(false);
    source.reveal();
    await untilLive([peer]);
    source.write("2", false, false);
    await turns(20);
    const late = await connect();
    await untilLive([late]);
    expect(late.kinds).toEqual(["documents", "documents", "event", "ready"]);
    source.write("3", true, true);
    await turns(20);
    for (const { held, problems } of [peer, late]) {
      expect(problems).toEqual([]);
      expect(held).toEqual(source.docs);
    }
  });

  it("goes on from a usable cursor, and is reset before the documents by another", async () => {
    const { source, connect } = setUp();
    source.write("1", false, true);
    const first = await connect();
    await untilLive([first]);
    source.write("2", false, true);
    await turns(20);
    const ready = first.lines.find((line) => line.kind === "ready");
    const resumed = await connect(undefined, ready?.kind === "ready" ? ready.cursor : "");
    await turns(20);
    expect(resumed.kinds).toEqual(["ready", "event"]);
    const other = await connect(undefined, "nonsense");
    await untilLive([other]);
    expect(other.kinds).toEqual(["reset", "documents", "ready"]);
  });

  it("tries again while the source is away, and ends when it cannot give one", async () => {
    const { source, connect } = setUp();
    source.write("1", false, true);
    source.failure = new RealtimeError("source_unavailable", "It is away.");
    const patient = await connect();
    await turns(20);
    source.failure = undefined;
    await untilLive([patient]);
    expect(patient.held).toEqual(source.docs);
    source.failure = new RealtimeError("collection_not_usable", "It may not be read.");
    const refused = await connect();
    await untilLive([refused]);
    expect(refused.ended).toMatchObject({ kind: "failed", error: { code: "collection_not_usable" } });
  });

  it("ends a peer that does not take the documents in time, and reads no more for it", async () => {
    const { source, connect, reads } = setUp(1_000, { timeoutMs: 50, shareMs: 0 });
    for (let id = 0; id < 20; id += 1) source.write(String(id), false, true);
    const peer = await connect();
    peer.reads = false;
    await until(() => peer.ended, { describe: "the end" });
    expect(peer.ended).toEqual({ kind: "slow_consumer" });
    await untilIdle(reads);
  });

  it("shares one snapshot among those that ask at once, and gives up what nobody wants any more", async () => {
    const { hub, source, connect, reads } = setUp(1_000, { shareMs: 50 });
    for (let id = 0; id < 20; id += 1) source.write(String(id), false, true);
    const peers = await Promise.all(Array.from({ length: 50 }, () => connect()));
    await untilLive(peers);
    expect(source.snapshots).toBe(1);
    for (const { held } of peers) expect(held).toEqual(source.docs);
    const leaving = await connect(FLAGGED);
    if (leaving.subscription !== undefined) hub.unsubscribe(leaving.subscription);
    await untilIdle(reads);
    expect(leaving.isLive).toBe(false);
  });

  it("shares a snapshot as long as nothing has changed in the channel, whatever else has", async () => {
    const { source, connect } = setUp(1_000, { shareMs: 60_000 });
    source.write("1", false, true);
    await untilLive([await connect()]);
    source.writeElsewhere();
    await untilLive([await connect()]);
    expect(source.snapshots).toBe(1);
    source.write("1", false, true);
    await untilLive([await connect()]);
    expect(source.snapshots).toBe(2);
  });

  it("begins again when the history has become too short, a few times, and then says so", async () => {
    const { source, connect } = setUp(4);
    for (let id = 0; id < 20; id += 1) source.write(String(id), false, true);
    source.noise = 10;
    const peer = await connect();
    await untilLive([peer]);
    expect(peer.ended).toMatchObject({
      kind: "failed",
      error: { code: "source_unavailable", message: expect.stringContaining("history.maxEventsPerChannel") },
    });
    expect(source.snapshots).toBe(3);
    expect(peer.problems).toEqual([]);
    // Nothing more is sent of a snapshot that cannot be completed.
    expect(peer.kinds.filter((kind) => kind === "documents").length).toBeLessThan(10);
    source.noise = 0;
    const next = await connect();
    await untilLive([next]);
    expect(next.held).toEqual(source.docs);
  });

  it("gives way while it takes nothing and others wait, and is sent another snapshot once it reads again", async () => {
    const settings = { maxConcurrent: 1, maxBufferedBytes: 800, stallMs: 40, shareMs: 0 };
    const { source, connect, resume, reads } = setUp(1_000, settings);
    for (let id = 0; id < 20; id += 1) source.write(String(id), false, true);
    const stalled = await connect();
    stalled.reads = false;
    for (let waited = 0; waited < 5_000 && stalled.lines.length === 0; waited += 1) await nextTurn();
    const other = await connect(FLAGGED);
    await untilLive([other]);
    expect(other.kinds).not.toContain("reset");
    await untilIdle(reads);
    source.write("1", true, true);
    resume(stalled);
    await untilLive([stalled]);
    expect(stalled.lines).toContainEqual({ kind: "reset", reason: "snapshot_interrupted" });
    expect(stalled.held).toEqual(source.docs);
    expect(stalled.problems).toEqual([]);
  });

  it("hears that its connection lives while it waits for documents", async () => {
    const { source, connect } = setUp(1_000, { shareMs: 0 }, 30);
    source.write("1", false, true);
    let release: () => void = () => undefined;
    source.holding = new Promise((resolve) => {
      release = resolve;
    });
    const peer = await connect();
    await until(() => peer.lines.length >= 3, { describe: "three signs of life" });
    expect(new Set(peer.kinds)).toEqual(new Set(["quiet"]));
    release();
    await untilLive([peer]);
    expect(peer.held).toEqual(source.docs);
    expect(peer.problems).toEqual([]);
  });

  it("looks at a long history in many turns", async () => {
    const { source, connect } = setUp(5_000);
    await untilLive([await connect()]);
    source.write("limbo", false, false);
    for (let count = 0; count < 3_000; count += 1) source.write("1", false, true);
    const peer = await connect();
    let most = 0;
    for (let turned = 0; turned < 10_000 && !peer.isLive; turned += 1) {
      const before = source.asked;
      await nextTurn();
      most = Math.max(most, source.asked - before);
    }
    expect(source.asked).toBeGreaterThanOrEqual(3_000);
    expect(most).toBeLessThanOrEqual(512);
    source.reveal();
    expect(peer.held).toEqual(source.docs);
    expect(peer.problems).toEqual([]);
  });

  const id = fc.integer({ min: 0, max: 8 }).map(String);
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        id,
        isRemoved: fc.nat(3).map((n) => n === 0),
        isVisible: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("reveal" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("connect" as const), isFiltered: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const), peer: fc.nat(20) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("turns" as const), count: fc.integer({ min: 1, max: 6 }) }),
    },
  );

  it("ends with what the database has, whatever happens meanwhile", async () => {
    let live = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 15, maxLength: 60 }),
        fc.constantFrom(4, 12, 1_000),
        fc.constantFrom(0, 5, 1_000),
        async (steps, limit, shareMs) => {
          const { source, connect, resume, close } = setUp(limit, { shareMs });
          const peers: { readonly peer: SnapshotPeer; readonly isFiltered: boolean }[] = [];
          for (const action of steps) {
            if (action.kind === "write") source.write(action.id, action.isRemoved, action.isVisible);
            else if (action.kind === "reveal") source.reveal();
            else if (action.kind === "lose") source.lose();
            else if (action.kind === "turns") await turns(action.count);
            else if (action.kind === "connect") {
              const { isFiltered } = action;
              peers.push({ peer: await connect(isFiltered ? FLAGGED : undefined), isFiltered });
            } else {
              const peer = peers[action.peer % Math.max(1, peers.length)]?.peer;
              if (peer !== undefined && action.kind === "pause") peer.reads = false;
              else if (peer !== undefined) resume(peer);
            }
          }
          source.reveal();
          for (const { peer } of peers) resume(peer);
          await untilLive(peers.map(({ peer }) => peer));
          for (const { peer, isFiltered } of peers) {
            expect(peer.problems).toEqual([]);
            // One that fell behind a short history has to come back.
            if (peer.ended !== undefined && limit < 1_000) continue;
            const wanted = [...source.docs].filter(([, { flag }]) => !isFiltered || flag === 1);
            expect(peer.isLive).toBe(true);
            expect(peer.held).toEqual(new Map(wanted));
            live += 1;
          }
          close();
        },
      ),
      { numRuns: 200 },
    );
    expect(live).toBeGreaterThan(100);
  });
});
