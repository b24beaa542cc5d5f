import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Inbox } from "./inbox.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** An inbox whose messages name what they do: those that begin with "slow" wait for `finish`. */
function createInbox(maxPerSecond: number): {
  inbox: Inbox<string>;
  handled: string[];
  flow: string[];
  readonly finish: () => Promise<void>;
} {
  const handled: string[] = [];
  const flow: string[] = [];
  let resolve: () => void = () => undefined;
  const inbox = new Inbox<string>(
    maxPerSecond,
    { pause: () => flow.push("pause"), resume: () => flow.push("resume") },
    (message) => {
      handled.push(message);
      if (!message.startsWith("slow")) return undefined;
      return new Promise((done) => {
        resolve = done;
      });
    },
  );
  return {
    inbox,
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
    const { inbox, handled, flow } = createInbox(3);
    for (let index = 0; index < 4; index += 1) inbox.count();
    expect(flow).toEqual(["pause"]);
    inbox.receive("a");
    expect(handled).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(handled).toEqual(["a"]);
    expect(flow).toEqual(["pause", "resume"]);
  });

  it("are forgotten when the connection ends, and no timer is left", async () => {
    const { inbox, handled, finish } = createInbox(2);
    for (const message of ["a", "slow", "b"]) inbox.receive(message);
    inbox.close();
    await finish();
    inbox.receive("c");
    expect(handled).toEqual(["a", "slow"]);

    const limited = createInbox(1);
    limited.inbox.receive("a");
    limited.inbox.receive("b");
    expect(vi.getTimerCount()).toBe(1);
    limited.inbox.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("are not handled any more when a handler ends the connection", () => {
    const handled: string[] = [];
    const inbox: Inbox<string> = new Inbox(
      10,
      { pause: () => undefined, resume: () => undefined },
      (message) => {
        handled.push(message);
        if (message === "slow") return Promise.resolve();
        inbox.close();
        return undefined;
      },
    );
    for (const message of ["a", "b"]) inbox.receive(message);
    expect(handled).toEqual(["a"]);
  });
});
