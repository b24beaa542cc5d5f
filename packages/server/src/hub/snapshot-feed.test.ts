import { RealtimeError, sequencePosition } from "@paperdb/protocol";
import type { ChangeType } from "@paperdb/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KEY, nextTurn, openHub } from "../../../../tests/support/hub.ts";
import { StallingPeer } from "../../../../tests/support/stalling-peer.ts";
import { StillSource } from "../../../../tests/support/still-source.ts";
import { until } from "../../../../tests/support/until.ts";
import { SnapshotReads } from "../snapshot/snapshot-reads.ts";
import type { SnapshotReadsSettings } from "../snapshot/snapshot-reads-settings.ts";
import type { ChangeSink, ChannelKey, Snapshot, SourceEvent } from "../source/change-source.ts";
import type { EventFilter, FrameFormat, Greeting } from "./delivery.ts";
import { documentFilter } from "./document-filter.ts";

interface Doc {
  readonly n: number;
  readonly flag: number;
}

/** A database whose commits can be in its log before others see them. */
class LimboSource extends StillSource {
  readonly docs = new Map<string, Doc>();
  sink: ChangeSink | undefined;
  snapshots = 0;
  /** How often the first document changes before each batch. */
  noise = 0;
  /** How often it was asked whether a snapshot saw an event. */
  asked = 0;
  /** Until it resolves there is no snapshot. */
  holding: Promise<void> = Promise.resolve();
  /** What the next snapshots do instead. */
  failure: Error | undefined;
  #visible = new Map<string, Doc>();
  readonly #limbo = new Map<number, { readonly id: string; readonly position: string }>();

  /** Changes a document that nobody else is changing. */
  write(id: string, isRemoved: boolean, isVisible: boolean): void {
    if ([...this.#limbo.values()].some((waiting) => waiting.id === id)) return;
    const before = this.docs.get(id);
    if (before === undefined && isRemoved) return;
    const after = isRemoved ? undefined : { n: (before?.n ?? 0) + 1, flag: this.sequence % 3 === 0 ? 0 : 1 };
    const type: ChangeType = after === undefined ? "delete" : before === undefined ? "insert" : "update";
    if (after === undefined) this.docs.delete(id);
    else this.docs.set(id, after);
    const formerPosition = sequencePosition(this.sequence);
    this.sequence += 1;
    const prior = before === undefined || type === "delete" ? {} : { prior: JSON.stringify(before) };
    const event: SourceEvent = {
      channel: KEY,
      position: sequencePosition(this.sequence),
      committedAtMs: undefined,
      transaction: this.sequence,
      body: { type, documentId: id, document: JSON.stringify(after ?? before), ...prior },
    };
    if (isVisible) this.#show(id);
    else this.#limbo.set(this.sequence, { id, position: formerPosition });
    void this.sink?.append([event]);
  }

  /** Everybody sees everything. */
  reveal(): void {
    for (const { id } of this.#limbo.values()) this.#show(id);
    this.#limbo.clear();
  }

  lose(): void {
    this.sequence += 1;
    this.sink?.lost("all", sequencePosition(this.sequence), "lost");
  }

  async snapshot(_key: ChannelKey, _narrowing: unknown, signal: AbortSignal): Promise<Snapshot> {
    this.snapshots += 1;
    await this.holding;
    if (this.failure !== undefined) throw this.failure;
    const now = sequencePosition(this.sequence);
    const unseen = new Set(this.#limbo.keys());
    const newest = this.sequence;
    const rows = [...this.#visible].map(([documentId, doc]) => ({
      documentId,
      document: JSON.stringify(doc),
    }));
    const disturb = (): void => {
      for (let count = 0; count < this.noise; count += 1) this.write("0", false, true);
    };
    async function* batches() {
      for (let from = 0; from < rows.length; from += 2) {
        await nextTurn();
        disturb();
        signal.throwIfAborted();
        yield rows.slice(from, from + 2);
      }
    }
    return {
      since: [...this.#limbo.values()].map(({ position }) => position).toSorted()[0] ?? now,
      batches: batches(),
      seam: async () => {
        await nextTurn();
        const saw = ({ transaction = 0 }: SourceEvent): boolean => {
          this.asked += 1;
          return transaction <= newest && !unseen.has(transaction);
        };
        return { position: sequencePosition(this.sequence), saw };
      },
    };
  }

  /** Something has changed that is in none of our channels. */
  writeElsewhere(): void {
    this.sequence += 1;
  }

  position(): string {
    return sequencePosition(this.sequence);
  }

  #show(id: string): void {
    const doc = this.docs.get(id);
    if (doc === undefined) this.#visible.delete(id);
    else this.#visible.set(id, doc);
  }
}

type Line =
  | {
      readonly kind: "documents";
      readonly documents: readonly { readonly documentId: string; readonly document: string }[];
    }
  | {
      readonly kind: "event";
      readonly type: ChangeType;
      readonly id: string;
      readonly doc: Doc;
      readonly cursor?: string;
    }
  | { readonly kind: "reset"; readonly reason: string }
  | { readonly kind: "quiet" }
  | { readonly kind: "ready"; readonly cursor: string; readonly resumed: boolean };

const encode = (line: Line): Buffer => Buffer.from(`${JSON.stringify(line)}\n`);
const eventLine = ({ body }: SourceEvent, cursor?: string): Buffer => {
  if ("topic" in body) throw new Error("There are no topics here.");
  const doc = JSON.parse(body.document) as Doc;
  const { type, documentId: id } = body;
  return encode({ kind: "event", type, id, doc, ...(cursor === undefined ? {} : { cursor }) });
};
const LINES: FrameFormat = {
  namesChannel: false,
  event: (event, cursor) => eventLine(event, cursor),
  heartbeat: () => Buffer.from(""),
  snapshots: {
    documents: (documents) => encode({ kind: "documents", documents }),
    event: (event) => eventLine(event),
    quiet: encode({ kind: "quiet" }),
  },
};

/** A peer that reads, or does not, and notices whatever does not fit. */
class Peer extends StallingPeer {
  readonly lines: Line[] = [];
  readonly held = new Map<string, Doc>();
  readonly problems: string[] = [];
  readonly snapshots = {
    write: (documents: Buffer): boolean => this.write(documents),
    reset: (reason: string): boolean => this.write(encode({ kind: "reset", reason })),
  };
  isLive = false;

  greet({ cursor, resumed, resetReason }: Greeting): boolean {
    if (resetReason !== undefined) this.problems.push("a reset without a snapshot");
    return this.write(encode({ kind: "ready", cursor, resumed }));
  }
  protected take(frames: Buffer): void {
    if (!this.keepsUp) this.problems.push("written to although it does not keep up");
    for (const text of frames.toString().split("\n")) if (text !== "") this.#hear(JSON.parse(text) as Line);
  }
  get kinds(): readonly string[] {
    return this.lines.map(({ kind }) => kind);
  }

  #hear(line: Line): void {
    this.lines.push(line);
    if (line.kind === "reset") {
      this.held.clear();
      this.isLive = false;
    } else if (line.kind === "ready") {
      if (this.isLive) this.problems.push("ready twice");
      this.isLive = true;
    } else if (line.kind === "documents") {
      if (this.isLive) this.problems.push("documents after ready");
      for (const { documentId, document } of line.documents) {
        if (this.held.has(documentId)) this.problems.push(`${documentId} twice`);
        this.held.set(documentId, JSON.parse(document) as Doc);
      }
    } else if (line.kind === "event") this.#apply(line);
    else if (this.isLive) this.problems.push("waits after ready");
  }

  #apply({ type, id, doc, cursor }: Extract<Line, { kind: "event" }>): void {
    const before = this.held.get(id);
    if ((cursor !== undefined) !== this.isLive) this.problems.push("a cursor before ready, or none after it");
    if ((type === "insert") !== (before === undefined)) this.problems.push(`${type} of ${id}`);
    const isNext = type === "delete" ? before?.n === doc.n : before === undefined || doc.n === before.n + 1;
    if (!isNext) this.problems.push(`${type} of ${id} skips a change`);
    if (type === "delete") this.held.delete(id);
    else this.held.set(id, doc);
  }
}

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
  const connect = async (filter?: EventFilter, cursor?: string): Promise<Peer> => {
    const peer = new Peer();
    const channel = await hub.open(source, KEY, cursor);
    const request = { target: peer, format: LINES, filter, cursor, snapshot: true };
    peer.subscription = hub.subscribe(channel, request);
    return peer;
  };
  const resume = (peer: Peer): void => {
    peer.reads = true;
    if (peer.subscription !== undefined) hub.resume(peer.subscription);
  };
  return { hub, log, reads, source, connect, resume, close };
}

async function untilLive(peers: readonly Peer[]): Promise<void> {
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
          const peers: { readonly peer: Peer; readonly isFiltered: boolean }[] = [];
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
