import { getEventListeners } from "node:events";
import { expect, it, describe } from "vitest";
import { SdkRecorder } from "../../../tests/support/sdk-recorder.ts";
import { SdkWorld } from "../../../tests/support/sdk-world.ts";
import { Connection } from "./connection.ts";
import { resolveSettings } from "./settings.ts";
import type { Unsubscribe } from "./types.ts";

interface SequenceEvent {
  readonly data: { readonly sequence: number };
}

/** A connection in a world, and who subscribes. */
class Scene {
  readonly world = new SdkWorld();
  readonly statuses: string[] = [];
  readonly connection = new Connection(
    resolveSettings({ baseUrl: "http://test", getToken: () => "not used", lingerMs: 1_000 }),
    this.world.platform,
  );

  constructor() {
    this.connection.statusListeners.add((status, error) =>
      this.statuses.push(error === undefined ? status : `${status} (${error.code})`),
    );
  }

  subscribe(
    name: string,
    recorder: SdkRecorder<SequenceEvent> = new SdkRecorder<SequenceEvent>(),
    signal?: AbortSignal,
  ): Unsubscribe {
    const options = { ...recorder.options, ...(signal === undefined ? {} : { signal }) };
    return this.connection.subscriptions.add({ kind: "collection", name }, options, recorder.listener)
      .unsubscribe;
  }

  /** Subscribes and lets all go well until it is live. */
  async subscribeLive(name = "a"): Promise<SdkRecorder<SequenceEvent>> {
    const recorder = new SdkRecorder<SequenceEvent>();
    this.subscribe(name, recorder);
    await this.world.settle();
    await this.goOn();
    if (!recorder.isLive) throw new Error("not live");
    return recorder;
  }

  /** Lets what is under way go well. */
  async goOn(token?: string): Promise<void> {
    const { world } = this;
    for (let step = 0; step < 4; step += 1) {
      if (world.tokens.length > 0) world.answerToken(token);
      else if (world.socket?.isOpen === false) world.socket.open();
      else world.socket?.deliver();
      await world.settle();
    }
  }
}

function tokenFor(seconds: number): string {
  const claims = { iat: 100, exp: 100 + seconds };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
}

const sequences = ({ events }: SdkRecorder<SequenceEvent>): number[] =>
  events.map(({ data }) => data.sequence);

describe("subscribing", () => {
  it("opens one connection and one subscription for a mount, an unmount and a mount in one turn", async () => {
    const scene = new Scene();
    scene.subscribe("a")();
    const recorder = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", recorder);
    await scene.goOn();
    await scene.goOn();
    expect([scene.world.fetched, scene.world.opened]).toEqual([1, 1]);
    expect(scene.world.socket?.received).toEqual([{ type: "subscribe", id: "1", collection: "a" }]);
    expect(recorder.statuses).toEqual(["connecting", "live"]);
  });

  it("opens nothing for a subscriber that goes in the same turn", async () => {
    const scene = new Scene();
    scene.subscribe("a")();
    await scene.goOn();
    expect([scene.world.fetched, scene.world.opened]).toEqual([0, 0]);
    expect(scene.connection.state).toBe("idle");
  });

  it("shares one subscription, and tells a late listener at once how it stands", async () => {
    const scene = new Scene();
    const first = await scene.subscribeLive();
    const late = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", late);
    expect(late.statuses).toEqual([]);
    await scene.world.settle();
    expect(late.statuses).toEqual(["live"]);
    scene.world.publish("a");
    scene.world.socket?.deliver();
    expect([sequences(first), sequences(late)]).toEqual([[1], [1]]);
    expect(scene.world.socket?.received.length).toBe(1);
  });

  it("unsubscribes on the server when the last listener goes, and lets the connection linger", async () => {
    const scene = new Scene();
    const recorder = new SdkRecorder<SequenceEvent>();
    const unsubscribe = scene.subscribe("a", recorder);
    await scene.subscribeLive();
    const second = scene.subscribe("a");
    unsubscribe();
    unsubscribe();
    second();
    await scene.world.settle();
    expect(scene.connection.state).toBe("open");
    scene.connection.subscriptions.endAll(undefined);
    await scene.world.settle();
    expect(scene.world.socket?.received.at(-1)).toEqual({ type: "unsubscribe", id: "1" });
    expect(scene.connection.state).toBe("lingering");
    scene.world.fireTimer();
    expect(scene.connection.state).toBe("idle");
    expect(scene.world.sockets).toEqual([]);
  });

  it("uses the lingering connection for the next subscription", async () => {
    const scene = new Scene();
    const recorder = new SdkRecorder<SequenceEvent>();
    const unsubscribe = scene.subscribe("a", recorder);
    await scene.goOn();
    unsubscribe();
    await scene.world.settle();
    expect(scene.connection.state).toBe("lingering");
    const next = await scene.subscribeLive("a");
    scene.world.publish("a");
    scene.world.socket?.deliver();
    expect([sequences(recorder), sequences(next)]).toEqual([[], [1]]);
    expect(scene.world.opened).toBe(1);
  });

  it("takes no frames on their way for a subscription that was ended and made again", async () => {
    const scene = new Scene();
    const unsubscribe = scene.subscribe("a");
    await scene.goOn();
    scene.world.publish("a");
    unsubscribe();
    await scene.world.settle();
    const next = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", next);
    await scene.world.settle();
    scene.world.socket?.deliver(1);
    expect(sequences(next)).toEqual([]);
    scene.world.publish("a");
    scene.world.socket?.deliver();
    expect(sequences(next)).toEqual([2]);
  });

  it("goes on for others when a listener throws, and gives the error to its onError", async () => {
    const scene = new Scene();
    const bad = new SdkRecorder<SequenceEvent>();
    const cause = new Error("of the application");
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, bad.options, () => {
      throw cause;
    });
    scene.connection.subscriptions.add({ kind: "collection", name: "a" }, bad.options, async () => {
      await Promise.reject(cause);
    });
    const good = await scene.subscribeLive();
    scene.world.publish("a");
    scene.world.publish("a");
    scene.world.socket?.deliver();
    await scene.world.settle();
    expect(sequences(good)).toEqual([1, 2]);
    expect(bad.errors.map(({ code, cause: reason }) => [code, reason])).toEqual(
      Array.from({ length: 4 }, () => ["callback_failed", cause]),
    );
    expect(scene.connection.state).toBe("open");
  });

  it("can be unsubscribed from within a callback", async () => {
    const scene = new Scene();
    const numbers: number[] = [];
    const unsubscribe = scene.connection.subscriptions.add(
      { kind: "collection", name: "a" },
      {},
      ({ data }: SequenceEvent) => {
        numbers.push(data.sequence);
        unsubscribe();
      },
    ).unsubscribe;
    await scene.goOn();
    await scene.goOn();
    scene.world.publish("a");
    scene.world.publish("a");
    scene.world.socket?.deliver();
    await scene.world.settle();
    expect(numbers).toEqual([1]);
    expect(scene.connection.state).toBe("lingering");
  });

  it("lets go of the signal when the client is closed", async () => {
    const scene = new Scene();
    const { signal } = new AbortController();
    scene.subscribe("a", new SdkRecorder<SequenceEvent>(), signal);
    await scene.goOn();
    expect(getEventListeners(signal, "abort").length).toBe(1);
    scene.connection.close();
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("is the same with and without `snapshot: false`", async () => {
    const scene = new Scene();
    await scene.subscribeLive();
    const second = new SdkRecorder<SequenceEvent>();
    scene.connection.subscriptions.add(
      { kind: "collection", name: "a" },
      { ...second.options, snapshot: false },
      second.listener,
    );
    await scene.world.settle();
    expect([second.status, scene.world.socket?.received.length]).toEqual(["live", 1]);
  });

  it("ends with its signal, also one that was aborted before", async () => {
    const scene = new Scene();
    const stopped = new AbortController();
    const recorder = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", recorder, stopped.signal);
    scene.subscribe("b", new SdkRecorder<SequenceEvent>(), AbortSignal.abort());
    await scene.goOn();
    await scene.goOn();
    expect(recorder.isLive).toBe(true);
    expect(scene.world.socket?.subscriptions).toEqual([["1", "a"]]);
    scene.world.publish("a");
    stopped.abort();
    scene.world.socket?.deliver();
    await scene.world.settle();
    expect(sequences(recorder)).toEqual([]);
    expect(scene.connection.state).toBe("lingering");
  });
});

describe("the end of a connection", () => {
  it("comes back with a cursor, after a wait", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.publish("a");
    scene.world.socket?.deliver();
    scene.world.publish("a");
    scene.world.socket?.closeByServer(1006);
    scene.world.publish("a");
    expect(scene.connection.state).toBe("waiting");
    scene.world.fireTimer();
    await scene.goOn();
    expect(scene.world.socket?.received).toEqual([
      { type: "subscribe", id: "1", collection: "a", cursor: "1.000001" },
    ]);
    expect(sequences(recorder)).toEqual([1, 2, 3]);
    expect(recorder.statuses).toEqual(["connecting", "live", "reconnecting", "live"]);
    expect(recorder.resumed).toEqual([false, true]);
    expect(scene.statuses).toEqual(["connecting", "live", "reconnecting (connection_closed)", "live"]);
  });

  it("is live without having resumed for who subscribes meanwhile", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.socket?.closeByServer(1006);
    const late = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", late);
    await scene.world.settle();
    scene.world.fireTimer();
    await scene.goOn();
    scene.world.socket?.closeByServer(1006);
    scene.world.fireTimer();
    await scene.goOn();
    expect(late.statuses).toEqual(["reconnecting", "live", "reconnecting", "live"]);
    expect(recorder.resumed).toEqual([false, true, true]);
    expect(late.resumed).toEqual([false, true]);
  });

  it("uses the cursors of heartbeats", async () => {
    const scene = new Scene();
    await scene.subscribeLive();
    scene.world.database.append("a");
    scene.world.socket?.heartbeat();
    scene.world.socket?.deliver();
    scene.world.socket?.closeByServer(1006);
    scene.world.fireTimer();
    await scene.goOn();
    expect(scene.world.socket?.received).toMatchObject([{ cursor: "1.000001" }]);
  });

  it.each([4003, 4008, 4050, 1002, 1009])(
    "is final with close code %i, until somebody subscribes",
    async (code) => {
      const scene = new Scene();
      const recorder = await scene.subscribeLive();
      scene.world.socket?.closeByServer(code);
      expect(recorder.statuses.at(-1)).toBe("ended");
      expect(recorder.errors).toMatchObject([{ status: code, retryable: false }]);
      expect(scene.connection.statusListeners.status).toBe("closed");
      await scene.subscribeLive();
    },
  );

  it("says what the server said last before it closed", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.socket?.complain("invalid_request", "no such message");
    scene.world.socket?.deliver();
    scene.world.socket?.closeByServer(4008);
    expect(recorder.errors).toMatchObject([{ code: "invalid_request", message: "no such message" }]);
  });

  it("is noticed by silence, also after a sleep", async () => {
    const scene = new Scene();
    await scene.subscribeLive();
    scene.world.nowMs += 44_000;
    scene.world.wake();
    expect(scene.connection.state).toBe("open");
    scene.world.nowMs += 1_000;
    scene.world.wake();
    expect(scene.connection.state).toBe("waiting");
    scene.world.wake();
    expect(scene.connection.state).toBe("connecting");
  });

  it("asks for another token when a socket did not open, and waits longer each time", async () => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      scene.world.answerToken(tokenFor(900));
      await scene.world.settle();
      scene.world.socket?.closeByServer(1006);
      const before = scene.world.nowMs;
      scene.world.fireTimer();
      waits.push(scene.world.nowMs - before);
    }
    expect(waits).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(scene.world.fetched).toBe(11);
  });

  it("gives up a socket that does not open, and a token that does not come", async () => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    scene.world.fireTimer();
    expect(scene.connection.state).toBe("waiting");
    expect(scene.world.tokens).toEqual([]);
    scene.world.fireTimer();
    await scene.world.settle();
    scene.world.answerToken();
    await scene.world.settle();
    expect(scene.connection.state).toBe("connecting");
    scene.world.fireTimer();
    expect(scene.connection.state).toBe("waiting");
    expect(scene.world.sockets).toEqual([]);
  });

  it("is told with its error at each attempt that fails", async () => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      scene.world.failToken(true);
      await scene.world.settle();
      scene.world.fireTimer();
      await scene.world.settle();
    }
    expect(scene.statuses).toEqual(["connecting", "connecting (token_failed)", "connecting (token_failed)"]);
  });

  it("is lost for one reason when the server sends what is no message", async () => {
    const scene = new Scene();
    await scene.subscribeLive();
    scene.world.socket?.garble("{");
    expect(scene.connection.state).toBe("waiting");
    expect(scene.statuses.at(-1)).toBe("reconnecting (protocol_error)");
  });

  it("ends all for good when the client is closed", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.connection.close();
    scene.connection.close();
    expect(recorder.statuses.at(-1)).toBe("ended");
    expect(recorder.errors).toEqual([]);
    expect([scene.world.sockets.length, scene.world.timers.size]).toEqual([0, 0]);
    await scene.world.settle();
    expect(scene.connection.state).toBe("closed");
  });
});

describe("a token", () => {
  it.each([
    [900, 719_200],
    [2, 800],
    [1, 400],
  ])("of %i s is renewed on the open connection after %i ms", async (seconds, afterMs) => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    await scene.goOn(tokenFor(seconds));
    const openedMs = scene.world.nowMs;
    while (scene.world.fetched === 1) {
      const [dueMs = 0] = scene.world.timers.values();
      if (dueMs - scene.world.nowMs > 15_000) {
        scene.world.nowMs += 15_000;
        scene.world.socket?.heartbeat();
        scene.world.socket?.deliver();
      } else scene.world.fireTimer();
    }
    expect(scene.world.nowMs - openedMs).toBe(afterMs);
    const next = tokenFor(seconds);
    await scene.goOn(next);
    expect(scene.world.socket?.received.at(-1)).toEqual({ type: "auth", token: next });
    expect(scene.world.opened).toBe(1);
  });

  it("is looked at when the page wakes up", async () => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    await scene.goOn(tokenFor(30));
    scene.world.nowMs += 25_000;
    scene.world.wake();
    expect(scene.world.fetched).toBe(2);
  });

  it("is renewed although nobody was subscribed while it was asked for", async () => {
    const scene = new Scene();
    const unsubscribe = scene.subscribe("a");
    await scene.world.settle();
    await scene.goOn(tokenFor(30));
    scene.world.nowMs += 25_000;
    scene.world.wake();
    unsubscribe();
    await scene.world.settle();
    expect([scene.connection.state, scene.world.tokens.length]).toEqual(["lingering", 0]);
    scene.subscribe("a");
    await scene.world.settle();
    expect([scene.connection.state, scene.world.tokens.length]).toEqual(["open", 1]);
  });

  it("that cannot be renewed is asked for again after a wait, and the connection goes on", async () => {
    const scene = new Scene();
    scene.subscribe("a");
    await scene.world.settle();
    await scene.goOn(tokenFor(30));
    scene.world.fireTimer();
    scene.world.failToken(true);
    await scene.world.settle();
    expect(scene.connection.state).toBe("open");
    scene.world.fireTimer();
    expect(scene.world.fetched).toBe(3);
    scene.world.socket?.closeByServer(4001);
    expect(scene.connection.state).toBe("authorizing");
  });

  it("that does not come is asked for again, also on an open connection", async () => {
    const scene = new Scene();
    await scene.subscribeLive("a");
    const late = new SdkRecorder<SequenceEvent>();
    scene.subscribe("b", late);
    await scene.world.settle();
    expect(scene.world.tokens.length).toBe(1);
    scene.world.fireTimer();
    expect([scene.world.tokens.length, scene.connection.state]).toEqual([0, "open"]);
    scene.world.fireTimer();
    await scene.goOn();
    expect(late.status).toBe("live");
    expect([scene.world.fetched, scene.world.opened]).toEqual([3, 1]);
  });

  it("is fetched for what is new, and shown before it is used", async () => {
    const scene = new Scene();
    await scene.subscribeLive("a");
    scene.subscribe("b");
    await scene.world.settle();
    expect(scene.world.tokens.map(({ targets }) => targets.map(({ name }) => name))).toEqual([["a", "b"]]);
    await scene.goOn("for both");
    expect(scene.world.socket?.received.slice(1)).toEqual([
      { type: "auth", token: "for both" },
      { type: "subscribe", id: "2", collection: "b" },
    ]);
  });

  it("that is refused once is replaced at once; one that is refused again and again ends it", async () => {
    const scene = new Scene();
    const recorder = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", recorder);
    await scene.world.settle();
    let rejections = 0;
    while (scene.connection.state !== "failed") {
      if (scene.connection.state === "waiting") scene.world.fireTimer();
      await scene.world.settle();
      scene.world.answerToken(tokenFor(900));
      await scene.world.settle();
      scene.world.socket?.open();
      scene.world.socket?.closeByServer(4001);
      rejections += 1;
    }
    expect(rejections).toBe(6);
    expect(recorder.errors).toMatchObject([{ status: 4001 }]);
  });

  it("that is refused for one ends that one, and what else there is goes on", async () => {
    const scene = new Scene();
    const refused = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", refused);
    await scene.world.settle();
    const later = new SdkRecorder<SequenceEvent>();
    scene.subscribe("b", later);
    await scene.world.settle();
    scene.world.refuseToken("collection_not_found");
    await scene.world.settle();
    expect(refused.errors).toMatchObject([{ code: "collection_not_found" }]);
    expect(scene.world.opened).toBe(0);
    await scene.goOn();
    expect(later.status).toBe("live");
    expect(refused.statuses).toEqual(["connecting", "ended"]);
  });

  it("that cannot be had for a reason that stays ends all, and says why", async () => {
    const scene = new Scene();
    const recorder = new SdkRecorder<SequenceEvent>();
    scene.subscribe("a", recorder);
    await scene.world.settle();
    scene.world.failToken(false);
    await scene.world.settle();
    expect(recorder.errors).toMatchObject([{ code: "token_failed" }]);
    expect(scene.connection.state).toBe("failed");
    scene.world.wake();
    expect(scene.connection.state).toBe("failed");
  });
});

describe("a subscription that the server refuses", () => {
  it("is asked for again after a wait when that may help", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    const other = await scene.subscribeLive("b");
    scene.world.socket?.refuse("1", "source_unavailable");
    scene.world.socket?.deliver();
    expect(recorder.statuses.at(-1)).toBe("reconnecting");
    await scene.world.settle();
    expect(scene.world.socket?.subscriptions).toEqual([["2", "b"]]);
    scene.world.fireTimer();
    await scene.goOn();
    expect(scene.world.socket?.received.at(-1)).toEqual({
      type: "subscribe",
      id: "3",
      collection: "a",
      cursor: "1.000000",
    });
    expect(recorder.statuses.at(-1)).toBe("live");
    expect(other.statuses).toEqual(["connecting", "live"]);
  });

  it("ends when it never will be granted, and the others go on", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    const other = await scene.subscribeLive("b");
    scene.world.socket?.refuse("1", "collection_not_found");
    scene.world.socket?.deliver();
    expect(recorder.statuses.at(-1)).toBe("ended");
    expect(recorder.errors).toMatchObject([{ code: "collection_not_found", retryable: false }]);
    scene.world.publish("b");
    scene.world.socket?.deliver();
    expect(sequences(other)).toEqual([1]);
  });

  it("that is forbidden is tried once more with a fresh token", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.socket?.refuse("1", "forbidden");
    scene.world.socket?.deliver();
    await scene.world.settle();
    expect(scene.world.fetched).toBe(2);
    await scene.goOn();
    expect(recorder.statuses.at(-1)).toBe("live");
    expect(recorder.errors).toEqual([]);
  });

  it("that is forbidden with a fresh token as well ends", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.socket?.refuse("1", "forbidden");
    scene.world.socket?.deliver();
    await scene.world.settle();
    scene.world.answerToken();
    await scene.world.settle();
    scene.world.socket?.refuse("2", "forbidden");
    scene.world.socket?.deliver();
    expect(recorder.statuses.at(-1)).toBe("ended");
    expect(recorder.errors).toMatchObject([{ code: "forbidden" }]);
    await scene.world.settle();
    expect(scene.world.fetched).toBe(2);
    expect(scene.connection.state).toBe("lingering");
  });
});

describe("a reset", () => {
  it("is told once, and what follows is complete", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.publish("a");
    scene.world.socket?.deliver();
    scene.world.database.append("a");
    scene.world.socket?.reset("1");
    scene.world.publish("a");
    scene.world.socket?.deliver();
    expect(recorder.resets).toEqual(["test"]);
    expect(sequences(recorder)).toEqual([1, 3]);
  });

  it("is also that the server does not go on at the cursor", async () => {
    const scene = new Scene();
    const recorder = await scene.subscribeLive();
    scene.world.publish("a");
    scene.world.socket?.deliver();
    scene.world.database.hasHistory = false;
    scene.world.socket?.closeByServer(1006);
    scene.world.fireTimer();
    await scene.goOn();
    expect(recorder.resets.length).toBe(1);
    expect(recorder.resumed).toEqual([false, false]);
  });
});
