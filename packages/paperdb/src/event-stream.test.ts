import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { SdkWorld } from "../../../tests/support/sdk-world.ts";
import { Connection } from "./connection.ts";
import { EventStream } from "./event-stream.ts";
import { resolveSettings } from "./settings.ts";
import type { StreamOptions, SubscribeOptions } from "./types.ts";

interface SequenceEvent {
  readonly data: { readonly sequence: number };
}

class Scene {
  readonly world = new SdkWorld();
  readonly connection = new Connection(
    resolveSettings({ baseUrl: "http://test", getToken: () => "not used" }),
    this.world.platform,
  );

  async open(options: SubscribeOptions & StreamOptions = {}): Promise<AsyncIterator<SequenceEvent>> {
    const stream = new EventStream(this.connection.subscriptions, { kind: "collection", name: "a" }, options);
    await this.goOn();
    return stream;
  }

  async goOn(): Promise<void> {
    const { world } = this;
    for (let step = 0; step < 5; step += 1) {
      await world.settle();
      if (world.tokens.length > 0) world.answerToken();
      else if (world.socket?.isOpen === false) world.socket.open();
      else world.socket?.deliver();
    }
    await world.settle();
  }

  publish(count: number): void {
    for (let index = 0; index < count; index += 1) this.world.publish("a");
    this.world.socket?.deliver();
  }
}

async function take(stream: AsyncIterator<SequenceEvent>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const { value, done } = await stream.next();
    if (done === true) break;
    numbers.push(value.data.sequence);
  }
  return numbers;
}

const MAX_CONSUMERS = 7;
const END = { value: undefined, done: true };

describe("a stream", () => {
  it("gives what came, and then waits", async () => {
    const scene = new Scene();
    const stream = await scene.open();
    scene.publish(2);
    expect(await take(stream, 2)).toEqual([1, 2]);
    const both = Promise.all([stream.next(), stream.next()]);
    scene.publish(2);
    expect(
      (await both).map(({ value }: IteratorResult<SequenceEvent, SequenceEvent>) => value.data.sequence),
    ).toEqual([3, 4]);
  });

  it("leaves the server when it is full, and goes on where it was once it has caught up", async () => {
    const scene = new Scene();
    const stream = await scene.open({ maxBuffered: 3 });
    scene.publish(10);
    await scene.world.settle();
    expect(scene.world.socket?.subscriptions).toEqual([]);
    expect(await take(stream, 3)).toEqual([1, 2, 3]);
    await scene.goOn();
    expect(scene.world.socket?.received.findLast(({ type }) => type === "subscribe")).toMatchObject({
      cursor: "1.000003",
    });
    expect(await take(stream, 3)).toEqual([4, 5, 6]);
    await scene.goOn();
    expect(await take(stream, 3)).toEqual([7, 8, 9]);
    await scene.goOn();
    expect(await take(stream, 1)).toEqual([10]);
  });

  it("goes back without others seeing anything twice, or waiting for it", async () => {
    const scene = new Scene();
    const numbers: number[] = [];
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, {}, ({ data }: SequenceEvent) =>
      numbers.push(data.sequence),
    );
    const stream = await scene.open({ maxBuffered: 2 });
    scene.publish(6);
    await scene.world.settle();
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await take(stream, 2)).toEqual([1, 2]);
    scene.publish(1);
    await scene.goOn();
    scene.publish(1);
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await take(stream, 2)).toEqual([3, 4]);
    await scene.goOn();
    expect(await take(stream, 2)).toEqual([5, 6]);
    await scene.goOn();
    expect(await take(stream, 2)).toEqual([7, 8]);
    await scene.goOn();
    scene.publish(1);
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await take(stream, 1)).toEqual([9]);
  });

  it("takes nothing that was on its way when it went back", async () => {
    const scene = new Scene();
    const numbers: number[] = [];
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, {}, ({ data }: SequenceEvent) =>
      numbers.push(data.sequence),
    );
    const stream = await scene.open({ maxBuffered: 2 });
    scene.publish(3);
    scene.world.publish("a");
    expect(await take(stream, 2)).toEqual([1, 2]);
    await scene.goOn();
    expect(await take(stream, 2)).toEqual([3, 4]);
    expect(numbers).toEqual([1, 2, 3, 4]);
  });

  it.each(["at once", "while the other one's events are on their way"])(
    "goes back for each of two that are slow, the second %s",
    async (when) => {
      const scene = new Scene();
      const first = await scene.open({ maxBuffered: 1 });
      const second = await scene.open({ maxBuffered: 3 });
      scene.publish(5);
      await scene.world.settle();
      expect(await take(first, 1)).toEqual([1]);
      if (when !== "at once") await scene.world.settle();
      expect(await take(second, 3)).toEqual([1, 2, 3]);
      await scene.goOn();
      expect(await take(first, 1)).toEqual([2]);
      await scene.goOn();
      expect(await take(second, 2)).toEqual([4, 5]);
      await scene.goOn();
      expect(await take(first, 1)).toEqual([3]);
    },
  );

  it("loses and repeats nothing, however slow which consumer is, and whatever happens", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("take" as const), index: fc.nat(MAX_CONSUMERS - 1) }),
      fc.record({
        kind: fc.constantFrom(
          "publish" as const,
          "deliver" as const,
          "cut" as const,
          "go on" as const,
          "join" as const,
        ),
        index: fc.nat(3),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
        const scene = new Scene();
        const { world } = scene;
        const listened: number[] = [];
        scene.connection.subscriptions.add({ kind: "collection", name: "a" }, {}, ({ data }: SequenceEvent) =>
          listened.push(data.sequence),
        );
        const consumers: { readonly stream: AsyncIterator<SequenceEvent>; readonly numbers: number[] }[] = [];
        for (const maxBuffered of [1, 2, 3, 5]) {
          consumers.push({ stream: await scene.open({ maxBuffered }), numbers: [] });
        }
        // Each takes one at a time, when the steps say so.
        const pending = new Map<number, Promise<void>>();
        const takeOne = (index: number): void => {
          const consumer = consumers[index];
          if (consumer === undefined || pending.has(index)) return;
          const taken = take(consumer.stream, 1).then((numbers) => {
            consumer.numbers.push(...numbers);
            pending.delete(index);
          });
          pending.set(index, taken);
        };
        // With the documents first, it gets as much as one that was there from the beginning.
        const join = (index: number): void => {
          if (consumers.length >= MAX_CONSUMERS) return;
          const options = { maxBuffered: index + 1, snapshot: true };
          const target = { kind: "collection" as const, name: "a" };
          consumers.push({
            stream: new EventStream(scene.connection.subscriptions, target, options),
            numbers: [],
          });
        };
        for (const { kind, index } of steps) {
          if (kind === "take") takeOne(index);
          else if (kind === "publish") for (let left = index; left >= 0; left -= 1) world.publish("a");
          else if (kind === "deliver") world.socket?.deliver(index + 1);
          else if (kind === "cut") world.socket?.closeByServer(1006);
          else if (kind === "join") join(index);
          else if (scene.connection.state === "waiting") world.fireTimer();
          await world.settle();
        }
        if (scene.connection.state === "waiting") world.fireTimer();
        await scene.goOn();
        const total = world.database.length("a");
        for (let turn = 0; consumers.some(({ numbers }) => numbers.length < total); turn += 1) {
          if (turn > 30 * total) break;
          for (const [index, { numbers }] of consumers.entries()) if (numbers.length < total) takeOne(index);
          await world.settle();
          world.socket?.deliver();
        }
        const all = Array.from({ length: total }, (_, index) => index + 1);
        expect(listened).toEqual(all);
        expect(consumers.map(({ numbers }) => numbers)).toEqual(consumers.map(() => all));
      }),
      { numRuns: 80 },
    );
  });

  it("throws at a reset, after what came before it", async () => {
    const scene = new Scene();
    const stream = await scene.open();
    scene.publish(1);
    scene.world.socket?.reset("1");
    scene.publish(1);
    expect(await take(stream, 1)).toEqual([1]);
    await expect(stream.next()).rejects.toMatchObject({ code: "reset", message: "test" });
    expect(await stream.next()).toEqual(END);
    await scene.world.settle();
    expect(scene.connection.state).toBe("lingering");
  });

  it("goes on after a reset that somebody cares for, without what is void", async () => {
    const scene = new Scene();
    const reasons: string[] = [];
    const stream = await scene.open({ onReset: ({ reason }) => reasons.push(reason) });
    scene.publish(1);
    scene.world.socket?.reset("1");
    scene.publish(1);
    expect(reasons).toEqual(["test"]);
    expect(await take(stream, 1)).toEqual([2]);
  });

  it("is told of a reset that comes while it is away, and goes on from there", async () => {
    const scene = new Scene();
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, {}, () => undefined);
    const reasons: string[] = [];
    const stream = await scene.open({ maxBuffered: 1, onReset: ({ reason }) => reasons.push(reason) });
    scene.publish(3);
    scene.world.socket?.reset("1");
    scene.publish(1);
    expect(reasons).toEqual(["test"]);
    expect(await take(stream, 1)).toEqual([4]);
    await scene.goOn();
    scene.publish(1);
    expect(await take(stream, 1)).toEqual([5]);
    expect(scene.world.socket?.received.length).toBe(1);
  });

  it("does not show what comes again to who subscribes meanwhile", async () => {
    const scene = new Scene();
    const stream = await scene.open({ maxBuffered: 2 });
    scene.publish(4);
    await scene.world.settle();
    expect(await take(stream, 2)).toEqual([1, 2]);
    await scene.world.settle();
    const numbers: number[] = [];
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, {}, ({ data }: SequenceEvent) =>
      numbers.push(data.sequence),
    );
    await scene.goOn();
    scene.publish(1);
    expect(numbers).toEqual([5]);
    expect(await take(stream, 2)).toEqual([3, 4]);
  });

  it("ends when it is left, also for one that waits", async () => {
    const scene = new Scene();
    const stream = await scene.open();
    const waiting = stream.next();
    scene.publish(0);
    expect(await stream.return?.()).toEqual(END);
    expect(await waiting).toEqual(END);
    await scene.world.settle();
    expect(scene.world.socket?.subscriptions).toEqual([]);
  });

  it("ends with its signal, also one that was aborted before", async () => {
    const scene = new Scene();
    const stopped = new AbortController();
    const stream = await scene.open({ signal: stopped.signal });
    const waiting = stream.next();
    stopped.abort();
    expect(await waiting).toEqual(END);
    const late = await scene.open({ signal: stopped.signal });
    expect(await late.next()).toEqual(END);
    expect(scene.world.opened).toBe(1);
  });

  it("takes one event where it is told to take none", async () => {
    const scene = new Scene();
    const stream = await scene.open({ maxBuffered: 0 });
    scene.publish(2);
    expect(await take(stream, 1)).toEqual([1]);
    await scene.goOn();
    expect(await take(stream, 1)).toEqual([2]);
  });

  it("hands what a callback throws to the runtime where nobody else takes it", async () => {
    const reported: unknown[] = [];
    vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
    onTestFinished(() => {
      vi.unstubAllGlobals();
    });
    const scene = new Scene();
    const cause = new Error("of the application");
    await scene.open({
      onStatus: () => {
        throw cause;
      },
    });
    expect(reported[0]).toMatchObject({ code: "callback_failed", cause });
  });

  it("throws what ends it, and ends with the client", async () => {
    const scene = new Scene();
    const stream = await scene.open();
    scene.world.socket?.refuse("1", "collection_not_found");
    scene.publish(0);
    await expect(stream.next()).rejects.toMatchObject({ code: "collection_not_found" });
    const other = await scene.open();
    scene.connection.close();
    expect(await other.next()).toEqual(END);
  });
});
