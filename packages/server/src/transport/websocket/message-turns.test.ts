import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Inbox } from "./inbox.ts";
import { MessageTurns, type WaitingClient } from "./message-turns.ts";
import { Throttle } from "./throttle.ts";

const PER_TURN = 256;
const NO_FLOW = { pause: () => undefined, resume: () => undefined };

/** Clients with so many messages each, all of which have just come. */
function receiveAll(turns: MessageTurns, clients: number, messages: number): { handled: string[] } {
  const handled: string[] = [];
  const limits = { maxMessagesPerSecond: 1_000_000, turns };
  for (let client = 0; client < clients; client += 1) {
    // Half of them take their time, which is over at once: without a bound that goes on and on, too.
    const handle = (message: string): Promise<void> | undefined => {
      handled.push(message);
      return client % 2 === 0 ? undefined : Promise.resolve();
    };
    const inbox = new Inbox<string>(new Throttle(limits, NO_FLOW), { handle });
    for (let index = 0; index < messages; index += 1) inbox.receive(`${client}.${index}`);
  }
  return { handled };
}

describe("the messages of very many clients", () => {
  it("are handled a few at a time, with a look at the event loop between", async () => {
    const { handled } = receiveAll(new MessageTurns(), 100, 20);
    const perTurn: number[] = [];
    for (let before = 0; handled.length < 2000; before = handled.length) {
      await nextTurn();
      perTurn.push(handled.length - before);
    }
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(2 * PER_TURN);
    expect(perTurn.length).toBeGreaterThanOrEqual(4);
  });

  it("are all handled, each client's in order", async () => {
    const { handled } = receiveAll(new MessageTurns(), 100, 20);
    while (handled.length < 2000) await nextTurn();
    for (let client = 0; client < 100; client += 1) {
      const own = handled.filter((message) => message.startsWith(`${client}.`));
      expect(own).toEqual(Array.from({ length: 20 }, (_, index) => `${client}.${index}`));
    }
  });
});

describe("a turn", () => {
  function takeAll(turns: MessageTurns): void {
    const nobody = { turnCame: () => undefined };
    for (let taken = 0; taken < PER_TURN; taken += 1) expect(turns.take(nobody)).toBe(true);
  }

  function waitingClient(name: string, told: string[]): WaitingClient {
    return { turnCame: () => told.push(name) };
  }

  it("comes to those that wait in the order in which they came", async () => {
    const turns = new MessageTurns();
    const told: string[] = [];
    takeAll(turns);
    for (const name of ["a", "b", "c"]) expect(turns.take(waitingClient(name, told))).toBe(false);
    expect(told).toEqual([]);
    await nextTurn();
    expect(told).toEqual(["a", "b", "c"]);
  });

  it("does not come to one that is gone", async () => {
    const turns = new MessageTurns();
    const told: string[] = [];
    takeAll(turns);
    const gone = new Throttle(
      { maxMessagesPerSecond: 10, turns },
      { ...NO_FLOW, resume: () => told.push("gone") },
    );
    expect(gone.take()).toBe(false);
    expect(gone.isOpen).toBe(false);
    expect(turns.take(waitingClient("here", told))).toBe(false);
    gone.close();
    await nextTurn();
    expect(told).toEqual(["here"]);
  });

  it("counts nothing of a client's rate while it is waited for", async () => {
    const turns = new MessageTurns();
    const throttle = new Throttle({ maxMessagesPerSecond: 1, turns }, NO_FLOW);
    throttle.listener = { throttleOpened: () => undefined };
    takeAll(turns);
    expect(throttle.take()).toBe(false);
    await nextTurn();
    expect([throttle.isOpen, throttle.take()]).toEqual([true, true]);
    throttle.close();
  });
});
