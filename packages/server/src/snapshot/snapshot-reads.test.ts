import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { StillSource } from "../../../../tests/support/still-source.ts";
import { until } from "../../../../tests/support/until.ts";
import type { ChannelKey, Snapshot, SnapshotDocument } from "../source/change-source.ts";
import { SnapshotReads } from "./snapshot-reads.ts";
import type { SnapshotReadsSettings } from "./snapshot-reads-settings.ts";
import { SnapshotGivenUpError, SnapshotOverrunError, SnapshotTimeoutError } from "./snapshot-reading.ts";
import type { SnapshotReading } from "./snapshot-reading.ts";

/** What a batch of one document weighs. */
const BATCH_BYTES = 100;
const ID_LENGTH = 6;

/** So that little happens meanwhile. */
const OFTEN = { intervalMs: 1 };

const idOf = (number: number): string => String(number).padStart(ID_LENGTH, "0");

/** A source whose snapshots are batches of one document, given as they are taken. */
function setUp(batches: number, settings: Partial<SnapshotReadsSettings> = {}) {
  const taken: { tenant: string; signal: AbortSignal; given: number }[] = [];
  const held: (() => void)[] = [];
  let isHeld = false;
  let failure: Error | undefined;
  const source = Object.assign(new StillSource(), {
    async snapshot({ tenant }: ChannelKey, _narrowing: unknown, signal: AbortSignal): Promise<Snapshot> {
      const record = { tenant, signal, given: 0 };
      taken.push(record);
      if (isHeld) await new Promise<void>((resolve) => held.push(resolve));
      if (failure !== undefined) throw failure;
      async function* give(): AsyncGenerator<readonly SnapshotDocument[]> {
        for (; record.given < batches;) {
          await sleep(0);
          signal.throwIfAborted();
          record.given += 1;
          yield [{ documentId: idOf(record.given), document: "x".repeat(BATCH_BYTES - 64 - ID_LENGTH) }];
        }
      }
      const seam = { position: "9", saw: () => true };
      return { since: String(taken.length), batches: give(), seam: () => Promise.resolve(seam) };
    },
  });
  const reads = new SnapshotReads({
    maxBufferedBytes: 8_000,
    maxConcurrent: 4,
    shareMs: 0,
    stallMs: 60_000,
    ...settings,
  });
  const open = (tenant = "a", alone = false, signal?: AbortSignal): Promise<SnapshotReading> =>
    reads.open({ source, key: { tenant, collection: "c" }, narrowing: undefined, alone }, signal);
  return {
    reads,
    taken,
    open,
    source,
    hold: () => (isHeld = true),
    release: () => {
      isHeld = false;
      for (const resolve of held.splice(0)) resolve();
    },
    fail: (error: Error) => (failure = error),
  };
}

async function readAll(reading: SnapshotReading): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let batch = await reading.next(); batch !== undefined; batch = await reading.next())
    ids.push(...batch.map(({ documentId }) => documentId));
  await reading.seam();
  reading.close();
  return ids;
}

const numbers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => idOf(index + 1));

/** Nothing is read, waits or is held any more. */
async function untilIdle(reads: SnapshotReads): Promise<void> {
  await until(() => Object.values(reads.stats()).every((figure) => figure === 0), {
    ...OFTEN,
    describe: () => `nothing to be held, got ${JSON.stringify(reads.stats())}`,
  });
}

describe("SnapshotReads", () => {
  it("gives all who share a snapshot all of it, however they read", async () => {
    const { reads, taken, open } = setUp(50, { shareMs: 20 });
    const readings = await Promise.all([open(), open(), open()]);
    expect(taken).toHaveLength(1);
    expect(await Promise.all(readings.map(readAll))).toEqual([numbers(50), numbers(50), numbers(50)]);
    await untilIdle(reads);
  });

  it("is joined for a while, from its first document on, unless it is too old", async () => {
    const { taken, open, reads, source } = setUp(3, { shareMs: 60_000 });
    expect(await readAll(await open())).toEqual(numbers(3));
    expect(await readAll(await open())).toEqual(numbers(3));
    expect(taken).toHaveLength(1);
    const request = { source, key: { tenant: "a", collection: "c" }, narrowing: undefined };
    const same = await reads.open({ ...request, notBefore: "1" });
    const newer = await reads.open({ ...request, notBefore: "2" });
    const newest = await reads.open({ ...request, notBefore: "2" });
    expect(taken).toHaveLength(2);
    for (const reading of [same, newer, newest]) expect(await readAll(reading)).toEqual(numbers(3));
  });

  it("is not joined once something of it had to be let go", async () => {
    const { taken, open, reads } = setUp(50, { shareMs: 60_000 });
    const first = await open();
    await until(() => reads.stats().bytes >= 8_000 / 8, OFTEN);
    await first.next();
    const second = await open();
    expect(taken).toHaveLength(2);
    expect(await readAll(first)).toHaveLength(49);
    expect(await readAll(second)).toEqual(numbers(50));
  });

  it("is not joined any more after a while", async () => {
    const { taken, open } = setUp(3, { shareMs: 1, maxConcurrent: 1_000 });
    const readings = [await open()];
    while (taken.length < 2) {
      await sleep(1);
      readings.push(await open());
    }
    for (const reading of readings) expect(await readAll(reading)).toEqual(numbers(3));
  });

  it("reads no further ahead than the window, and goes on as it is taken", async () => {
    const { reads, taken, open } = setUp(1_000);
    const reading = await open();
    await until(() => reads.stats().bytes >= 8_000 / 8, OFTEN);
    await sleep(50);
    expect(reads.stats().bytes).toBe(8_000 / 8);
    expect(taken[0]?.given).toBe(8_000 / 8 / BATCH_BYTES);
    expect(await readAll(reading)).toEqual(numbers(1_000));
  });

  it("lets one go that holds up the others, who get all", async () => {
    const { open, taken } = setUp(200, { lagMs: 20, shareMs: 20 });
    const [slow, fast] = await Promise.all([open(), open()]);
    expect(await readAll(fast)).toEqual(numbers(200));
    await expect(slow.next()).rejects.toBeInstanceOf(SnapshotOverrunError);
    const alone = await open("a", true);
    const other = await open("a", true);
    expect(taken).toHaveLength(3);
    alone.close();
    other.close();
  });

  it("does not let one go that nobody waits for", async () => {
    const { open } = setUp(200, { lagMs: 10, shareMs: 20 });
    const [one, two] = await Promise.all([open(), open()]);
    await sleep(100);
    expect(await Promise.all([one, two].map((reading) => readAll(reading)))).toEqual([
      numbers(200),
      numbers(200),
    ]);
  });

  it("gives up what takes too long, and what nobody wants any more", async () => {
    const { reads, open, taken } = setUp(200, { timeoutMs: 3_000 });
    const slow = await open();
    const left = await open("b");
    left.close();
    expect(taken[1]?.signal.aborted).toBe(true);
    await until(() => slow.signal.aborted, OFTEN);
    await expect(slow.next()).rejects.toBeInstanceOf(SnapshotTimeoutError);
    expect(taken[0]?.signal.aborted).toBe(true);
    await untilIdle(reads);
  });

  it("reads a few at a time, and of one tenant half of them", async () => {
    const { reads, open, taken, hold, release } = setUp(3);
    hold();
    const opening = [
      open("a", true),
      open("a", true),
      open("a", true),
      ...["b", "c", "d"].map((tenant) => open(tenant)),
    ];
    await sleep(0);
    expect(taken.map(({ tenant }) => tenant)).toEqual(["a", "a", "b", "c"]);
    expect(reads.stats()).toMatchObject({ reading: 4, waiting: 2 });
    release();
    const all = await Promise.all((await Promise.all(opening)).map(readAll));
    expect(all).toEqual(Array.from({ length: 6 }, () => numbers(3)));
    expect(taken.map(({ tenant }) => tenant).toSorted()).toEqual(["a", "a", "a", "b", "c", "d"]);
  });

  it("begins no further snapshot while too much is held for those who do not take it", async () => {
    const { open, taken, reads } = setUp(5, { maxBufferedBytes: 500 });
    const first = await open("a");
    await until(() => reads.stats().bytes >= 100, OFTEN);
    const others = ["b", "c", "d", "e", "f"].map((tenant) => open(tenant));
    await sleep(50);
    expect(reads.stats().bytes).toBeLessThanOrEqual(500 + 4 * BATCH_BYTES);
    expect(taken.length).toBeLessThan(6);
    await readAll(first);
    for (const opening of others) expect(await readAll(await opening)).toEqual(numbers(5));
  });

  it("lets no tenant hold so much that others have no room", async () => {
    const { open, taken } = setUp(9);
    // Each is read to its end, and waits to be taken.
    const untaken = Array.from({ length: 20 }, () => open("a", true));
    await until(() => taken.length >= 4, OFTEN);
    await sleep(50);
    expect(taken.length).toBeLessThanOrEqual(4);
    expect(await readAll(await open("b"))).toEqual(numbers(9));
    expect(taken.filter(({ tenant }) => tenant === "a").length).toBeLessThanOrEqual(4);
    for (const opening of untaken) (await opening).close();
  });

  it("serves tenants in rotation, however many of one wait", async () => {
    const { open, taken } = setUp(1, { maxConcurrent: 2 });
    const many = ["a", "b"].flatMap((tenant) => Array.from({ length: 50 }, () => open(tenant, true)));
    const other = open("c");
    for (const opening of [...many, other]) void opening.then(readAll);
    await other;
    expect(taken.length).toBeLessThan(10);
    await Promise.all(many);
  });

  it.each(["a", "b"])("does not let tenant %s wait for one who takes nothing", async (waiting) => {
    const { reads, open, taken } = setUp(100, { maxConcurrent: 1, stallMs: 40 });
    const slow = await open("a", true);
    expect(await readAll(await open(waiting, true))).toEqual(numbers(100));
    await expect(slow.next()).rejects.toBeInstanceOf(SnapshotGivenUpError);
    expect(taken[0]?.signal.aborted).toBe(true);
    await untilIdle(reads);
  });

  it("lets one keep what was read to the end while others only wait for turns", async () => {
    const { open, hold, release, taken } = setUp(5, { maxConcurrent: 1, stallMs: 20 });
    const slow = await open("a", true);
    await until(() => taken[0]?.given === 5, OFTEN);
    hold();
    const others = [open("b", true), open("b", true)];
    await sleep(200);
    release();
    expect(await readAll(slow)).toEqual(numbers(5));
    for (const other of others) expect(await readAll(await other)).toEqual(numbers(5));
  });

  it("makes room for others when what was read to the end is not taken", async () => {
    const { open, taken } = setUp(9, { maxConcurrent: 2, maxBufferedBytes: 4_000, stallMs: 2_000 });
    // Two tenants with two snapshots each, as much as may be held.
    const untaken = ["a", "a", "b", "b"].map((tenant) => open(tenant, true));
    await until(() => taken.length >= 4 && taken.every(({ given }) => given >= 9), OFTEN);
    expect(await readAll(await open("c", true))).toEqual(numbers(9));
    const left = await Promise.all(untaken);
    const ends = await Promise.allSettled(left.map(readAll));
    expect(ends.some(({ status }) => status === "rejected")).toBe(true);
  });

  it("refuses one of a tenant that has too many waiting, and nobody else's", async () => {
    const { open, hold, release } = setUp(1, { maxConcurrent: 1, maxWaiting: 2 });
    hold();
    const opening = [open("a", true), open("a", true), open("a", true)];
    await expect(open("a", true)).rejects.toMatchObject({ code: "source_unavailable", retryAfterSeconds: 5 });
    const other = open("b", true);
    release();
    for (const reading of [...opening, other]) expect(await readAll(await reading)).toEqual(numbers(1));
  });

  it("keeps the turn of one that was given up until the source has ended it", async () => {
    const { open, taken, hold, release, reads } = setUp(1, { maxConcurrent: 1 });
    hold();
    const leaving = new AbortController();
    const left = open("a", true, leaving.signal);
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    const next = open("b", true);
    await sleep(20);
    expect(taken).toHaveLength(1);
    release();
    expect(await readAll(await next)).toEqual(numbers(1));
    await untilIdle(reads);
  });

  it("waits for no seam when it is over", async () => {
    const { open, source } = setUp(1, { timeoutMs: 3_000 });
    const take = source.snapshot?.bind(source);
    source.snapshot = async (...request) => {
      const snapshot = await take?.(...request);
      if (snapshot === undefined) throw new Error("There is none.");
      return { ...snapshot, seam: () => new Promise(() => undefined) };
    };
    const reading = await open();
    await reading.next();
    await expect(reading.seam()).rejects.toBeInstanceOf(SnapshotTimeoutError);
    const closed = await open();
    const seam = closed.seam();
    closed.close();
    await expect(seam).rejects.toThrow("not needed");
  });

  it("shares nothing with one who asks after a reset", async () => {
    const { reads, source, taken } = setUp(3, { shareMs: 60_000 });
    const request = { source, key: { tenant: "a", collection: "c" }, narrowing: undefined };
    const before = await reads.open({ ...request, generation: 1 });
    const after = await reads.open({ ...request, generation: 2 });
    expect(taken).toHaveLength(2);
    for (const reading of [before, after]) expect(await readAll(reading)).toEqual(numbers(3));
  });

  it("tells all who wait why there is none, and can be given up while it waits", async () => {
    const { open, fail, reads, hold, release, source } = setUp(3);
    fail(new Error("no right"));
    const results = await Promise.allSettled([open(), open()]);
    expect(results.map((result) => result.status === "rejected" && String(result.reason))).toEqual([
      "Error: no right",
      "Error: no right",
    ]);
    hold();
    const leaving = new AbortController();
    const key = { tenant: "z", collection: "c" };
    const opening = reads.open({ source, key, narrowing: undefined }, leaving.signal);
    leaving.abort(new Error("left"));
    await expect(opening).rejects.toThrow("left");
    release();
    await untilIdle(reads);
  });
});
