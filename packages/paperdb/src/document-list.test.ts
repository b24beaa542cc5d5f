import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { FakeDocument } from "../../../tests/support/fake-database.ts";
import { SdkRecorder } from "../../../tests/support/sdk-recorder.ts";
import { SdkWorld } from "../../../tests/support/sdk-world.ts";
import { Connection } from "./connection.ts";
import { openList } from "./document-list.ts";
import { EventStream } from "./event-stream.ts";
import { resolveSettings } from "./settings.ts";
import type { DocumentList, ListOptions, SubscribeOptions, Unsubscribe } from "./types.ts";

interface SequenceEvent {
  readonly type: string;
  readonly documentId: string;
  readonly data: FakeDocument;
}

class Scene {
  readonly world = new SdkWorld();
  readonly connection = new Connection(
    resolveSettings({ baseUrl: "http://test", getToken: () => "not used" }),
    this.world.platform,
  );

  list(options: ListOptions<FakeDocument> = {}): DocumentList<FakeDocument> {
    return openList(this.connection.subscriptions, "a", options);
  }

  subscribe(recorder: SdkRecorder<SequenceEvent>, options: SubscribeOptions = {}): Unsubscribe {
    return this.connection.subscriptions.add(
      { kind: "collection", name: "a" },
      { ...recorder.options, ...options },
      recorder.listener,
    ).unsubscribe;
  }

  /** All goes well until nothing is under way any more. */
  async goOn(): Promise<void> {
    const { world, connection } = this;
    for (let step = 0; step < 6; step += 1) {
      await world.settle();
      if (connection.state === "waiting") world.fireTimer();
      else if (world.tokens.length > 0) world.answerToken();
      else if (world.socket?.isOpen === false) world.socket.open();
      else world.socket?.deliver();
    }
    await world.settle();
  }

  /** Changes documents by their ids, and lets the client know. */
  publish(...documentIds: readonly string[]): void {
    for (const id of documentIds) this.world.publish("a", id);
    this.world.socket?.deliver();
  }

  /** What was asked of the server, without what it is called. */
  get requests(): unknown[] {
    return (this.world.socket?.received ?? []).map((message) => ({ ...message, id: undefined }));
  }
}

const numbersOf = (list: DocumentList<FakeDocument>): number[] =>
  list.current.map(({ sequence }) => sequence);
const told = ({ events }: SdkRecorder<SequenceEvent>): [string, number][] =>
  events.map(({ type, data }) => [type, data.sequence]);

describe("a list", () => {
  it("is loading, then has the documents, and follows their changes", async () => {
    const scene = new Scene();
    scene.publish("1", "2", "3", "4", "5");
    const list = scene.list();
    await scene.world.settle();
    expect([list.current, list.isLoaded, list.status]).toEqual([[], false, "connecting"]);
    await scene.goOn();
    expect([numbersOf(list), list.isLoaded, list.status]).toEqual([[1, 2, 3, 4, 5], true, "live"]);
    scene.publish("3", "7", "6");
    // The sixth event deletes.
    expect(numbersOf(list)).toEqual([1, 2, 4, 5, 7, 8]);
    scene.publish("9", "1");
    expect(numbersOf(list)).toEqual([10, 2, 4, 5, 7, 8, 9]);
  });

  it("is another array after each change, and the same one until then", async () => {
    const scene = new Scene();
    scene.publish("1");
    const list = scene.list();
    const { current: loading } = list;
    expect(list.current).toBe(loading);
    await scene.goOn();
    const { current: loaded } = list;
    expect(list.current).toBe(loaded);
    scene.world.socket?.heartbeat();
    scene.publish();
    expect(list.current).toBe(loaded);
    scene.publish("2");
    expect(list.current).not.toBe(loaded);
    expect(loaded).toEqual([{ sequence: 1 }]);
  });

  it("is in the order that was asked for", async () => {
    const scene = new Scene();
    scene.publish("1", "2");
    const list = scene.list({ compare: (left, right) => right.sequence - left.sequence });
    await scene.goOn();
    scene.publish("3");
    expect(numbersOf(list)).toEqual([3, 2, 1]);
  });

  it("tells of each change, of loading nothing too, and of its status", async () => {
    const scene = new Scene();
    const seen: unknown[] = [];
    const list = scene.list({
      onChange: (documents) => seen.push(documents.length),
      onStatus: (status) => seen.push(status),
    });
    let calls = 0;
    const unsubscribe = list.subscribe(() => (calls += 1));
    await scene.goOn();
    expect([seen, calls]).toEqual([["connecting", 0, "live"], 3]);
    scene.publish("1");
    unsubscribe();
    scene.publish("2");
    expect([seen, calls]).toEqual([["connecting", 0, "live", 1, 2], 4]);
  });

  it("shows what there was until all is there anew, in its old order", async () => {
    const scene = new Scene();
    scene.publish("1", "2", "4", "5");
    const list = scene.list();
    await scene.goOn();
    const { world } = scene;
    for (const id of ["1", "1", "2"]) world.database.append("a", id);
    world.socket?.reset("1");
    const lengths: number[] = [];
    list.subscribe(() => lengths.push(list.current.length));
    world.socket?.deliver(2);
    expect([numbersOf(list), list.status]).toEqual([[1, 2, 3, 4], "reconnecting"]);
    scene.publish();
    // 5 updates, 6 deletes, 7 updates.
    expect([numbersOf(list), list.status]).toEqual([[7, 3, 4], "live"]);
    expect(lengths).toEqual([4, 3, 3]);
    scene.publish("9");
    expect(numbersOf(list)).toEqual([7, 3, 4, 8]);
  });

  it("begins again when the connection is lost before all was there", async () => {
    const scene = new Scene();
    scene.publish("1", "2", "4", "5", "7", "8");
    const list = scene.list();
    const { world } = scene;
    await world.settle();
    world.answerToken();
    await world.settle();
    world.socket?.open();
    world.socket?.deliver(2);
    world.socket?.closeByServer(1006);
    expect(list.isLoaded).toBe(false);
    world.publish("a", "1");
    await scene.goOn();
    expect(numbersOf(list)).toEqual([7, 2, 3, 4, 5, 6].filter((number) => number !== 1));
    expect(scene.requests).toEqual([{ type: "subscribe", collection: "a", snapshot: true }]);
  });

  it("goes on at its place when the connection was lost, and fetches anew where it cannot", async () => {
    const scene = new Scene();
    const { world } = scene;
    scene.publish("1");
    const list = scene.list();
    await scene.goOn();
    world.socket?.closeByServer(1006);
    world.publish("a", "2");
    expect([numbersOf(list), list.status]).toEqual([[1], "reconnecting"]);
    await scene.goOn();
    expect([numbersOf(list), list.status]).toEqual([[1, 2], "live"]);
    expect(scene.requests).toMatchObject([{ cursor: "1.000001", snapshot: true }]);
    world.socket?.closeByServer(1006);
    world.database.epoch = 2;
    world.publish("a", "4");
    await scene.goOn();
    expect([numbersOf(list), list.status]).toEqual([[1, 2, 3], "live"]);
  });

  it("does not go on at a place that was void when the connection was lost", async () => {
    const scene = new Scene();
    const list = scene.list();
    await scene.goOn();
    const { world } = scene;
    world.socket?.reset("1");
    world.socket?.deliver(1);
    world.socket?.closeByServer(1006);
    await scene.goOn();
    expect(list.status).toBe("live");
    expect(scene.requests).toEqual([{ type: "subscribe", collection: "a", snapshot: true }]);
  });

  it("stays as it was read last once it is closed", async () => {
    const scene = new Scene();
    const list = scene.list();
    const other = scene.list();
    await scene.goOn();
    const seen = list.current;
    list.close();
    list.close();
    scene.publish("1");
    expect([list.current, list.status]).toEqual([seen, "ended"]);
    expect(list.current).toBe(seen);
    expect(numbersOf(other)).toEqual([1]);
    other.close();
    await scene.world.settle();
    expect(scene.requests.at(-1)).toMatchObject({ type: "unsubscribe" });
  });

  it("ends with its signal, also one that was aborted before", async () => {
    const scene = new Scene();
    const stopped = new AbortController();
    const list = scene.list({ signal: stopped.signal });
    await scene.goOn();
    stopped.abort();
    await scene.world.settle();
    const late = scene.list({ signal: stopped.signal });
    await scene.goOn();
    expect([list.status, late.status]).toEqual(["ended", "ended"]);
    expect(scene.world.socket?.subscriptions).toEqual([]);
  });

  it("goes on when a callback throws, and says so", async () => {
    const scene = new Scene();
    const cause = new Error("of the application");
    const errors: unknown[] = [];
    const list = scene.list({
      onChange: () => {
        throw cause;
      },
      onError: (error) => errors.push(error),
    });
    await scene.goOn();
    scene.publish("1");
    expect(errors).toMatchObject([
      { code: "callback_failed", cause },
      { code: "callback_failed", cause },
    ]);
    expect(numbersOf(list)).toEqual([1]);
  });

  it("ends alone where there are no documents to be had", async () => {
    const scene = new Scene();
    const events = new SdkRecorder<SequenceEvent>();
    scene.subscribe(events);
    const errors: string[] = [];
    const list = scene.list({ onError: ({ code }) => errors.push(code) });
    await scene.goOn();
    scene.world.socket?.refuse("1", "snapshot_not_supported");
    await scene.goOn();
    expect([list.status, errors, events.errors]).toEqual(["ended", ["snapshot_not_supported"], []]);
    scene.publish("1");
    expect(told(events)).toEqual([["insert", 1]]);
  });
});

describe("documents and events", () => {
  it("share one subscription from the start: one has the documents, the other what comes then", async () => {
    const scene = new Scene();
    scene.publish("1", "2", "4");
    const events = new SdkRecorder<SequenceEvent>();
    const documents = new SdkRecorder<SequenceEvent>();
    scene.subscribe(events);
    scene.subscribe(documents, { snapshot: true });
    await scene.goOn();
    expect(told(events)).toEqual([]);
    expect(told(documents)).toEqual([
      ["insert", 1],
      ["insert", 2],
      ["insert", 3],
    ]);
    expect(documents.statuses).toEqual(["connecting", "live"]);
    scene.publish("2");
    expect([told(events), told(documents).at(-1)]).toEqual([[["update", 4]], ["update", 4]]);
    expect(scene.requests).toEqual([{ type: "subscribe", collection: "a", snapshot: true }]);
  });

  it("come from the list that is there already to who comes later", async () => {
    const scene = new Scene();
    scene.publish("1", "2");
    scene.list();
    await scene.goOn();
    scene.publish("4");
    const late = scene.list();
    const documents = new SdkRecorder<SequenceEvent>();
    scene.subscribe(documents, { snapshot: true });
    await scene.world.settle();
    expect([numbersOf(late), late.status]).toEqual([[1, 2, 3], "live"]);
    expect(told(documents).map(([, number]) => number)).toEqual([1, 2, 3]);
    expect([documents.status, documents.resumed]).toEqual(["live", [false]]);
    expect(scene.requests).toHaveLength(1);
  });

  it("are fetched beside a subscription that is live: it misses nothing, and nobody sees anything twice", async () => {
    const scene = new Scene();
    const events = new SdkRecorder<SequenceEvent>();
    scene.subscribe(events);
    await scene.goOn();
    scene.publish("1");
    // On its way when the documents are asked for.
    scene.world.publish("a", "2");
    const list = scene.list();
    const documents = new SdkRecorder<SequenceEvent>();
    scene.subscribe(documents, { snapshot: true });
    await scene.world.settle();
    scene.world.publish("a", "4");
    await scene.goOn();
    expect(told(events).map(([, number]) => number)).toEqual([1, 2, 3]);
    expect(numbersOf(list)).toEqual([1, 2, 3]);
    expect(told(documents)).toEqual([
      ["insert", 1],
      ["insert", 2],
      ["insert", 3],
    ]);
    scene.publish("1");
    expect([told(events).at(-1), told(documents).at(-1)]).toEqual([
      ["update", 4],
      ["update", 4],
    ]);
    expect([events.resets, events.statuses, documents.resets]).toEqual([[], ["connecting", "live"], []]);
    expect(scene.requests).toMatchObject([
      { type: "subscribe" },
      { type: "unsubscribe" },
      { type: "subscribe", snapshot: true },
      { type: "unsubscribe" },
      { type: "subscribe", cursor: "1.000001" },
    ]);
  });

  it("come anew after a reset", async () => {
    const scene = new Scene();
    scene.publish("1");
    const documents = new SdkRecorder<SequenceEvent>();
    const events = new SdkRecorder<SequenceEvent>();
    scene.subscribe(documents, { snapshot: true });
    scene.subscribe(events);
    await scene.goOn();
    scene.world.database.append("a", "2");
    scene.world.socket?.reset("1");
    // Events are not complete before all documents are there.
    scene.world.socket?.deliver(2);
    expect([documents.resets, events.resets]).toEqual([[], []]);
    scene.publish();
    expect([documents.resets, events.resets]).toEqual([["test"], ["test"]]);
    expect(told(documents).map(([, number]) => number)).toEqual([1, 1, 2]);
    expect(told(events)).toEqual([]);
  });

  it("are as they were last while a slow stream goes back, for who comes meanwhile too", async () => {
    const scene = new Scene();
    const list = scene.list();
    const stream = new EventStream(
      scene.connection.subscriptions,
      { kind: "collection", name: "a" },
      { maxBuffered: 1 },
    );
    await scene.goOn();
    // The third event deletes what the second one has inserted.
    scene.publish("1", "2", "2");
    await stream.next();
    await scene.world.settle();
    scene.world.socket?.deliver(2);
    const late = scene.list();
    await scene.world.settle();
    expect([numbersOf(list), numbersOf(late)]).toEqual([[1], [1]]);
  });
});

describe("filters that the server knows to be the same", () => {
  it("share one subscription once it says so", async () => {
    const scene = new Scene();
    scene.publish("1");
    const list = scene.list({ where: { id: 1 } });
    await scene.goOn();
    const events = new SdkRecorder<SequenceEvent>();
    const unsubscribe = scene.subscribe(events, { where: { id: { $in: [1] } } });
    const other = scene.list({ where: { id: { $in: [1] } } });
    await scene.goOn();
    expect([events.status, numbersOf(list), numbersOf(other)]).toEqual(["live", [1], [1]]);
    scene.publish("2");
    expect([told(events), numbersOf(list), numbersOf(other)]).toEqual([[["insert", 2]], [1, 2], [1, 2]]);
    unsubscribe();
    other.close();
    scene.publish("4");
    expect([told(events).length, other.current.length, numbersOf(list)]).toEqual([1, 2, [1, 2, 3]]);
    expect([events.resets, events.errors]).toEqual([[], []]);
  });

  it("are asked for again when the one that was there has gone meanwhile", async () => {
    const scene = new Scene();
    const list = scene.list({ where: { id: 1 } });
    await scene.goOn();
    const other = scene.list({ where: { id: { $in: [1] } } });
    await scene.world.settle();
    list.close();
    await scene.world.settle();
    scene.world.socket?.deliver();
    expect(other.status).toBe("connecting");
    scene.world.fireTimer();
    await scene.goOn();
    expect(other.status).toBe("live");
  });
});

describe("a place", () => {
  it("is known of who came while nothing happened", async () => {
    const scene = new Scene();
    const events = new SdkRecorder<SequenceEvent>();
    const unsubscribe = scene.subscribe(new SdkRecorder<SequenceEvent>());
    await scene.goOn();
    scene.subscribe(events);
    await scene.world.settle();
    unsubscribe();
    scene.world.socket?.closeByServer(1006);
    scene.world.publish("a", "1");
    await scene.goOn();
    expect([told(events), events.resumed]).toEqual([[["insert", 1]], [false, true]]);
  });

  it("of another epoch is of no use: who was away for so long is told", async () => {
    const scene = new Scene();
    const { world } = scene;
    world.database.epoch = 9;
    const resets: string[] = [];
    const stream = new EventStream(
      scene.connection.subscriptions,
      { kind: "collection", name: "a" },
      { maxBuffered: 1, onReset: ({ reason }) => resets.push(reason) },
    );
    await scene.goOn();
    scene.publish("1", "2");
    await world.settle();
    // The server has begun anew when the next one comes.
    world.database.epoch = 1;
    const events = new SdkRecorder<SequenceEvent>();
    scene.subscribe(events);
    await scene.goOn();
    expect(resets).toEqual(["The cursor is of no use."]);
    scene.publish("4");
    const { value } = await stream.next();
    expect([value, told(events)]).toMatchObject([{ data: { sequence: 3 } }, [["insert", 3]]]);
  });
});

it("hands what a listener of a list throws to the runtime where nobody else takes it", async () => {
  const reported: unknown[] = [];
  vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  const scene = new Scene();
  const cause = new Error("of the application");
  scene.list().subscribe(() => {
    throw cause;
  });
  await scene.goOn();
  expect(reported).toContain(cause);
});
