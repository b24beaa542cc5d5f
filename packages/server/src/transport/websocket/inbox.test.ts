import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Inbox } from "./inbox.ts";
import { MessageTurns } from "./message-turns.ts";
import { Throttle } from "./throttle.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** An inbox whose messages name what they do: those that begin with "slow" wait for `finish`. */
function createInbox(maxPerSecond: number): {
  inbox: Inbox<string>;
  throttle: Throttle;
  handled: string[];
  flow: string[];
  readonly finish: () => Promise<void>;
} {
  const handled: string[] = [];
  const flow: string[] = [];
  let resolve: () => void = () => undefined;
  const limits = { maxMessagesPerSecond: maxPerSecond, turns: new MessageTurns() };
  const throttle = new Throttle(limits, {
    pause: () => flow.push("pause"),
    resume: () => flow.push("resume"),
  });
  const inbox = new Inbox<string>(throttle, {
    handle(message) {
      handled.push(message);
      if (message === "unread") throttle.hold("unread");
      if (message === "close") throttle.close();
      if (!message.startsWith("slow")) return undefined;
      return new Promise((done) => {
        resolve = done;
      });
    },
  });
  return {
    inbox,
    throttle,
    handled,
    flow,
    async finish() {
      resolve();
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

describe("the messages of a client", () => {
  it("are handled at once, in order, without holding the client back", () => {
    const { inbox, handled, flow } = createInbox(10);
    for (const message of ["a", "b", "c"]) inbox.receive(message);
    expect(handled).toEqual(["a", "b", "c"]);
    expect(flow).toEqual([]);
  });

  it("wait for one that takes time; meanwhile nothing is read", async () => {
    const { inbox, handled, flow, finish } = createInbox(10);
    for (const message of ["a", "slow", "b", "c"]) inbox.receive(message);
    expect(handled).toEqual(["a", "slow"]);
    expect(flow).toEqual(["pause"]);
    await finish();
    expect(handled).toEqual(["a", "slow", "b", "c"]);
    expect(flow).toEqual(["pause", "resume"]);
  });

  it("wait while answers are not read; nothing more is read then", () => {
    const { inbox, throttle, handled, flow } = createInbox(10);
    for (const message of ["a", "unread", "b", "unread", "c"]) inbox.receive(message);
    expect(handled).toEqual(["a", "unread"]);
    throttle.release("unread");
    expect(handled).toEqual(["a", "unread", "b", "unread"]);
    expect(flow).toEqual(["pause"]);
    throttle.release("unread");
    expect(handled).toEqual(["a", "unread", "b", "unread", "c"]);
    expect(flow).toEqual(["pause", "resume"]);
    throttle.release("unread");
    expect(flow).toEqual(["pause", "resume"]);
  });

  it("wait as long as there is any reason to", async () => {
    const { inbox, throttle, handled, flow, finish } = createInbox(2);
    for (const message of ["a", "slow", "b"]) inbox.receive(message);
    expect(throttle.take()).toBe(false);
    throttle.hold("unread");
    await finish();
    throttle.release("unread");
    expect(handled).toEqual(["a", "slow"]);
    expect(flow).toEqual(["pause"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(handled).toEqual(["a", "slow", "b"]);
    expect(flow).toEqual(["pause", "resume"]);
  });

  it("beyond the limit wait until the second is over, and none is lost", async () => {
    const { inbox, handled, flow } = createInbox(3);
    for (let index = 0; index < 8; index += 1) inbox.receive(String(index));
    expect(handled).toEqual(["0", "1", "2"]);
    expect(flow).toEqual(["pause"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(handled).toHaveLength(6);
    await vi.advanceTimersByTimeAsync(1000);
    expect(handled).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    expect(flow).toEqual(["pause", "resume"]);
  });

  it("share the limit with what is only counted", async () => {
    const { inbox, throttle, handled, flow } = createInbox(3);
    expect(Array.from({ length: 4 }, () => throttle.take())).toEqual([true, true, true, false]);
    expect(flow).toEqual(["pause"]);
    inbox.receive("a");
    expect(handled).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(handled).toEqual(["a"]);
    expect(flow).toEqual(["pause", "resume"]);
  });
});

describe("when the connection ends", () => {
  it("messages that wait are forgotten, and those that still come are not handled", async () => {
    const { inbox, throttle, handled, flow, finish } = createInbox(2);
    for (const message of ["a", "slow", "b"]) inbox.receive(message);
    throttle.close();
    inbox.clear();
    await finish();
    inbox.receive("c");
    expect(handled).toEqual(["a", "slow"]);
    expect(flow).toEqual(["pause"]);
  });

  it("no timer is left, and none begins", () => {
    const { inbox, throttle } = createInbox(1);
    inbox.receive("a");
    inbox.receive("b");
    expect(vi.getTimerCount()).toBe(1);
    throttle.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(throttle.take()).toBe(false);
    throttle.hold("unread");
    expect([vi.getTimerCount(), throttle.isOpen]).toEqual([0, false]);
  });

  it("by a handler, nothing more is handled", () => {
    const { inbox, handled } = createInbox(10);
    for (const message of ["a", "close", "b"]) inbox.receive(message);
    expect(handled).toEqual(["a", "close"]);
  });
});
