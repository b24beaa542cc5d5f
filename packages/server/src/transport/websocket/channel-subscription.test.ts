import { formatCursor, sequencePosition, type Position } from "@paperdb/protocol";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { DeliveryTarget, FrameWriter, Greeting, SnapshotTarget } from "../../hub/delivery.ts";
import { Hub } from "../../hub/hub.ts";
import { MemoryLog } from "../../log/memory/memory-log.ts";
import { TOPICS, type ChangeSource, type ChannelKey, type Snapshot } from "../../source/change-source.ts";
import { SourceDirectory } from "../../source/source-directory.ts";
import { ChannelSubscription } from "./channel-subscription.ts";
import { V1_EVENTS } from "./event-frames.ts";

const TENANT = "acme";
const KEY: ChannelKey = { tenant: TENANT, collection: TOPICS };

/** An event bus whose channels become live when the test says so. */
class GatedBus implements ChangeSource {
  readonly name: string = "bus";
  readonly epoch = "e1";
  /** Of the calls of {@link watch} that wait, oldest first. */
  readonly gates: ((position: Position) => void)[] = [];
  sequence = 0;
  state(): { live: true } {
    return { live: true };
  }
  collections(): { name: string }[] {
    return [];
  }
  whyNotCollection(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  watch(): Promise<Position> {
    return new Promise((resolve) => this.gates.push(resolve));
  }
  /** Lets the oldest call pass. */
  async pass(): Promise<void> {
    this.gates.shift()?.(sequencePosition(this.sequence));
    await new Promise(setImmediate);
  }
  unwatch(): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A table without rows, whose snapshots end when the test says so. */
class GatedTable extends GatedBus {
  override readonly name: string = "table";
  readonly ends: (() => void)[] = [];
  override collections(): { name: string }[] {
    return [{ name: "rows" }];
  }
  snapshot(): Promise<Snapshot> {
    const end = new Promise<void>((resolve) => this.ends.push(resolve));
    const position = sequencePosition(this.sequence);
    return Promise.resolve({
      since: position,
      batches: {
        [Symbol.asyncIterator]: () => ({ next: () => end.then(() => ({ done: true, value: undefined })) }),
      },
      seam: () => Promise.resolve({ position, saw: () => false }),
    });
  }
}

class Reader implements DeliveryTarget, FrameWriter {
  readonly snapshots: SnapshotTarget = {
    write: (documents) => this.write(documents),
    reset: (reason) => this.write(Buffer.from(reason)),
  };
  readonly greetings: Greeting[] = [];
  readonly keepsUp = true;
  get writer(): this {
    return this;
  }
  readonly #onGreeting: () => void;
  text = "";

  constructor(onGreeting: () => void = () => undefined) {
    this.#onGreeting = onGreeting;
  }
  greet(greeting: Greeting): boolean {
    this.greetings.push(greeting);
    this.#onGreeting();
    return true;
  }
  write(frames: Buffer): boolean {
    this.text += frames.toString();
    return true;
  }
  end(): void {}
}

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A hub, and somebody else of the tenant who is subscribed to all topics. */
async function setUp() {
  const log = new MemoryLog({
    maxEventsPerChannel: 100,
    maxBytesPerChannel: 1e6,
    maxBytesTotal: 1e6,
    maxAgeMs: 1e9,
  });
  const settings = {
    lingerMs: 60_000,
    maxLingeringChannels: 10,
    maxBufferedBytes: 1e6,
    maxSliceBytes: 1e6,
    writeTimeoutMs: 60_000,
    heartbeatIntervalMs: 60_000,
    maxSharedBytes: 10_000,
  };
  const hub = new Hub(log, settings, { delivered() {}, offered() {}, reset() {}, slowConsumer() {} });
  const bus = new GatedBus();
  closers.push(() => {
    hub.close();
    log.stop();
  });
  const sink = log.sinkFor(bus.name);
  const publish = async (topic: string): Promise<void> => {
    bus.sequence += 1;
    const position = sequencePosition(bus.sequence);
    await sink.append([
      { channel: KEY, position, committedAtMs: undefined, body: { topic, data: `"${topic}"` } },
    ]);
    await new Promise(setImmediate);
  };
  const opened = hub.open(bus, KEY);
  await bus.pass();
  const channel = await opened;
  const bystander = new Reader();
  hub.subscribe(channel, { target: bystander, format: V1_EVENTS, filter: undefined, cursor: undefined });
  const channels = { hub, bus, directory: new SourceDirectory([]) };
  const subscribe = (pattern: string, cursor?: string): ChannelSubscription =>
    new ChannelSubscription(channels, { tenant: TENANT, subject: { kind: "topic", pattern }, cursor });
  return { hub, bus, channel, bystander, publish, subscribe };
}

/** That somebody else's events still arrive, and only its own hold on the channel is left. */
async function expectUnharmed({ channel, bystander, publish }: Awaited<ReturnType<typeof setUp>>) {
  expect(channel.users).toBe(1);
  await publish("afterwards");
  expect(bystander.text).toContain('"topic":"afterwards"');
}

describe("a subscription", () => {
  it("delivers from its start to its end", async () => {
    const world = await setUp();
    const subscription = world.subscribe("a.*");
    const opened = subscription.open();
    await world.bus.pass();
    await opened;
    const reader = new Reader();
    expect(subscription.isLive).toBe(false);
    subscription.start(reader, V1_EVENTS);
    expect(subscription).toMatchObject({ isLive: true, isOver: false });
    await world.publish("a.b");
    expect(reader.text).toContain('"topic":"a.b"');
    subscription.end();
    expect(subscription).toMatchObject({ isLive: false, isOver: true });
    reader.text = "";
    await world.publish("a.c");
    expect(reader.text).toBe("");
    await expectUnharmed(world);
  });

  it("that ends between open and start never begins, and gives its channel back once", async () => {
    const world = await setUp();
    const subscription = world.subscribe("a");
    const opened = subscription.open();
    await world.bus.pass();
    await opened;
    subscription.end();
    const reader = new Reader();
    subscription.start(reader, V1_EVENTS);
    expect(reader.greetings).toEqual([]);
    await expectUnharmed(world);
  });

  it("with a cursor that is too long to be one is reset; a short one is judged by the hub", async () => {
    const world = await setUp();
    await world.publish("earlier");
    const usable = formatCursor({ source: "bus", epoch: "e1", position: sequencePosition(1) });
    for (const [cursor, resumed] of [
      [usable, true],
      [`${usable}${"0".repeat(600)}`, false],
      ["x".repeat(60_000), false],
    ] as const) {
      const subscription = world.subscribe("a", cursor);
      const opened = subscription.open();
      await world.bus.pass();
      await opened;
      const reader = new Reader();
      subscription.start(reader, V1_EVENTS);
      expect(reader.greetings).toMatchObject([
        { resumed, resetReason: resumed ? undefined : "cursor_not_usable" },
      ]);
      expect(reader.greetings[0]?.cursor.length).toBeLessThan(100);
      subscription.end();
    }
    await expectUnharmed(world);
  });

  it("whose greeting ends it gives its channel back once", async () => {
    const world = await setUp();
    const subscription = world.subscribe("a");
    const opened = subscription.open();
    await world.bus.pass();
    await opened;
    subscription.start(new Reader(() => subscription.end()), V1_EVENTS);
    expect(subscription).toMatchObject({ isLive: false, isOver: true });
    await expectUnharmed(world);
  });
});

it("has no heartbeats while its documents are sent", async () => {
  const { hub, bus } = await setUp();
  const table = new GatedTable();
  const channels = { hub, bus, directory: new SourceDirectory([table]) };
  const subject = { kind: "collection", collection: "rows" } as const;
  const subscription = new ChannelSubscription(channels, { tenant: TENANT, subject, snapshot: true });
  const opened = subscription.open();
  await new Promise(setImmediate);
  await table.pass();
  await opened;
  const reader = new Reader();
  subscription.start(reader, V1_EVENTS);
  expect([subscription.isLive, subscription.hasHeartbeats, reader.greetings]).toEqual([true, false, []]);
  table.ends.shift()?.();
  await expect.poll(() => reader.greetings).toHaveLength(1);
  expect([subscription.isLive, subscription.hasHeartbeats]).toEqual([true, true]);
  subscription.end();
  expect([subscription.isLive, subscription.hasHeartbeats]).toEqual([false, false]);
});

/** What may happen to one of several subscriptions, in any order. */
const STEPS = ["open", "pass", "start", "start and end", "end", "resume"] as const;
const SUBSCRIPTIONS = 3;

/** What a subscription has of its channel. */
interface Model {
  readonly subscription: ChannelSubscription;
  phase: "new" | "opening" | "held" | "live" | "over" | "over while opening";
}

it("harms nobody in whatever order subscriptions open, start and end", async () => {
  const step = fc.record({ of: fc.nat(SUBSCRIPTIONS - 1), what: fc.constantFrom(...STEPS) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const world = await setUp();
      const { channel } = world;
      const models = Array.from({ length: SUBSCRIPTIONS }, (_, index): Model => {
        return { subscription: world.subscribe(`t.${index}`), phase: "new" };
      });
      const waiting: Model[] = [];
      for (const { of, what } of steps) {
        const model = models[of];
        if (model === undefined) continue;
        await take(what, model, waiting, world.bus);
        expect(channel.users).toBe(1 + models.filter(holds).length);
        expect(model.subscription.isLive).toBe(model.phase === "live");
      }
      for (const model of models) await take("end", model, waiting, world.bus);
      while (waiting.length > 0) for (const model of models) await take("pass", model, waiting, world.bus);
      await expectUnharmed(world);
    }),
    { numRuns: 200 },
  );
});

function holds({ phase }: Model): boolean {
  return phase !== "new" && phase !== "over";
}

async function take(
  what: (typeof STEPS)[number],
  model: Model,
  waiting: Model[],
  bus: GatedBus,
): Promise<void> {
  const { subscription, phase } = model;
  switch (what) {
    case "open":
      // One that was ended before is not opened by anybody.
      if (phase !== "new") return;
      model.phase = "opening";
      waiting.push(model);
      void subscription.open();
      return;
    case "pass": {
      const next = waiting.shift();
      if (next === undefined) return;
      next.phase = next.phase === "opening" ? "held" : "over";
      await bus.pass();
      return;
    }
    case "start":
    case "start and end":
      subscription.start(
        new Reader(() => {
          if (what === "start and end") subscription.end();
        }),
        V1_EVENTS,
      );
      if (phase === "held") model.phase = what === "start" ? "live" : "over";
      return;
    case "end":
      subscription.end();
      model.phase = phase === "opening" || phase === "over while opening" ? "over while opening" : "over";
      return;
    case "resume":
      subscription.resume();
      subscription.progressed();
  }
}
