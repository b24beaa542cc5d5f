import { describe, expect, it } from "vitest";
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
      cursor: "3",
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

  it("throws at a reset, after what came before it", async () => {
    const scene = new Scene();
    const stream = await scene.open();
    scene.publish(1);
    scene.world.socket?.reset("1", "a");
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
    scene.world.socket?.reset("1", "a");
    scene.publish(1);
    expect(reasons).toEqual(["test"]);
    expect(await take(stream, 1)).toEqual([2]);
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
