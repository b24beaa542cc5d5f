import { describe, expect, it } from "vitest";
import { CountingSource, nextTurn, openHub } from "../../../../tests/support/hub.ts";
import type { ChannelKey } from "../source/change-source.ts";
import type { DeliveryTarget, FrameFormat, FrameWriter } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";

/** Subscriptions of a large channel: many turns of the event loop. */
const MANY = 2000;
/** Writes in one turn of the event loop, large slices apart. */
const WRITES_PER_TURN = 256;

class CountingTarget implements DeliveryTarget, FrameWriter {
  /** How often the hub has looked at it, or written. */
  looks = 0;
  reads = true;
  received = "";
  readonly #written: () => void;

  constructor(written: () => void = () => undefined) {
    this.#written = written;
  }
  get writer(): this {
    return this;
  }
  get keepsUp(): boolean {
    this.looks += 1;
    return this.reads;
  }
  greet(): boolean {
    return true;
  }
  write(frames: Buffer): boolean {
    this.received += frames.toString();
    this.#written();
    return this.reads;
  }
  end(): void {
    throw new Error("A subscription was ended.");
  }
}

function setUp() {
  let encoded = 0;
  const { hub, log } = openHub({ settings: { maxSliceBytes: 65_536 } });
  const source = new CountingSource();
  const format: FrameFormat = {
    namesChannel: false,
    event: ({ position }) => {
      encoded += 1;
      return Buffer.from(`${Number.parseInt(position, 36)} `);
    },
  };
  const sink = log.sinkFor(source.name);
  return {
    hub,
    encoded: () => encoded,
    append: (channel: ChannelKey): void => {
      const body = { topic: "test", data: "0" };
      void sink.append([{ channel, position: source.next(), committedAtMs: undefined, body }]);
    },
    subscribe: async (key: ChannelKey, target: DeliveryTarget): Promise<Subscription> => {
      const channel = await hub.open(source, key);
      return hub.subscribe(channel, { target, format, filter: undefined, cursor: undefined });
    },
  };
}

function keyOf(tenant: string): ChannelKey {
  return { tenant, collection: "" };
}

/** Lets the dispatcher come so far. */
async function untilDispatched(isSo: () => boolean): Promise<void> {
  while (!isSo()) await nextTurn();
}

describe("the dispatcher", () => {
  it("lets a small channel wait for a turn at most, however many large ones are at work", async () => {
    const { append, subscribe } = setUp();
    let writes = 0;
    let appendedAt = 0;
    let writtenAt = 0;
    const large = ["a", "b", "c", "d", "e", "f", "g", "h"].map(keyOf);
    const small = keyOf("small");
    for (const key of large) {
      for (let n = 0; n < MANY / 4; n += 1) {
        const written = (): void => {
          writes += 1;
          if (writes !== MANY) return;
          appendedAt = writes;
          append(small);
        };
        await subscribe(key, new CountingTarget(written));
      }
    }
    await subscribe(small, new CountingTarget(() => (writtenAt = writes)));
    for (const key of large) append(key);
    await untilDispatched(() => writes === large.length * (MANY / 4));
    expect(appendedAt).toBe(MANY);
    expect(writtenAt).toBeGreaterThan(0);
    expect(writtenAt - appendedAt).toBeLessThanOrEqual(WRITES_PER_TURN);
  });

  it("lets a large channel have half of the turns, however many small ones are at work", async () => {
    const { append, subscribe } = setUp();
    let large = 0;
    let turns = 0;
    const smalls = Array.from({ length: 2 * WRITES_PER_TURN }, (_, n) => keyOf(String(n)));
    const targets = smalls.map(() => new CountingTarget());
    for (const [n, target] of targets.entries()) await subscribe(keyOf(String(n)), target);
    const key = keyOf("large");
    for (let n = 0; n < MANY; n += 1) await subscribe(key, new CountingTarget(() => (large += 1)));
    append(key);
    await untilDispatched(() => {
      turns += 1;
      // More than can be written in a turn.
      for (const small of smalls) append(small);
      return large === MANY || turns === 200;
    });
    expect(large).toBe(MANY);
    expect(turns).toBeLessThan((3 * MANY) / WRITES_PER_TURN);
    await untilDispatched(() => targets.every(({ received }) => received.trim().split(" ").length === turns));
  });

  it("does not look at subscriptions whose peers do not keep up, and catches them up", async () => {
    const { append, subscribe, hub } = setUp();
    const key = keyOf("a");
    let writes = 0;
    const targets = Array.from({ length: MANY }, () => new CountingTarget(() => (writes += 1)));
    const subscriptions: Subscription[] = [];
    for (const target of targets) subscriptions.push(await subscribe(key, target));
    const stalled = targets.filter((_, n) => n % 2 === 0);
    for (const target of stalled) target.reads = false;
    append(key);
    // Whoever is seen not to keep up is left out from then on.
    await untilDispatched(() => writes === MANY / 2);
    const looks = stalled.map((target) => target.looks);
    for (let n = 1; n <= 10; n += 1) {
      append(key);
      await untilDispatched(() => writes === (MANY / 2) * (n + 1));
    }
    expect(stalled.map((target) => target.looks)).toEqual(looks);
    for (const [n, target] of targets.entries()) {
      target.reads = true;
      const subscription = subscriptions[n];
      if (subscription !== undefined) hub.resume(subscription);
    }
    const all = "1 2 3 4 5 6 7 8 9 10 11 ";
    await untilDispatched(() => targets.every(({ received }) => received.length >= all.length));
    expect(new Set(targets.map(({ received }) => received))).toEqual(new Set([all]));
  });

  it("encodes each event once while more of them arrive than a turn can write", async () => {
    const { append, subscribe, encoded } = setUp();
    const key = keyOf("a");
    const EVENTS = 40;
    const targets = Array.from({ length: MANY }, () => new CountingTarget());
    for (const target of targets) await subscribe(key, target);
    for (let n = 0; n < EVENTS; n += 1) {
      append(key);
      await nextTurn();
    }
    const all = Array.from({ length: EVENTS }, (_, n) => `${n + 1} `).join("");
    await untilDispatched(() => targets.every(({ received }) => received.length >= all.length));
    expect(new Set(targets.map(({ received }) => received))).toEqual(new Set([all]));
    expect(encoded()).toBe(EVENTS);
  });
});
