import { describe, expect, it } from "vitest";
import { Turns } from "./turns.ts";

const anybody = (): boolean => true;

/** Everybody who has a turn now. */
function takeAll(turns: Turns<string>, mayGoOn: (party: string) => boolean = anybody): readonly string[] {
  const taken: string[] = [];
  for (let item = turns.next(mayGoOn); item !== undefined; item = turns.next(mayGoOn)) taken.push(item);
  return taken;
}

describe("Turns", () => {
  it("takes a few at a time, of one party some of them", () => {
    const turns = new Turns<string>({ maxRunning: 3, maxRunningOfParty: 2 });
    for (const item of ["a1", "a2", "a3", "b1", "c1"]) turns.wait(item.charAt(0), item);
    expect(takeAll(turns)).toEqual(["a1", "b1", "c1"]);
    turns.end("c", "c1");
    expect(takeAll(turns)).toEqual(["a2"]);
    turns.end("b", "b1");
    expect(takeAll(turns)).toEqual([]);
    turns.end("a", "a1");
    expect(takeAll(turns)).toEqual(["a3"]);
    expect([turns.running, turns.waiting]).toEqual([2, 0]);
  });

  it("serves the parties in rotation, however many of one wait", () => {
    const turns = new Turns<string>({ maxRunning: 1, maxRunningOfParty: 1 });
    for (let number = 0; number < 100; number += 1) {
      turns.wait("a", `a${String(number)}`);
      turns.wait("b", `b${String(number)}`);
    }
    expect(takeAll(turns)).toEqual(["a0"]);
    turns.wait("c", "c0");
    turns.end("a", "a0");
    expect(takeAll(turns)).toEqual(["b0"]);
    turns.end("b", "b0");
    // It came before the second turn of the others.
    expect([...takeAll(turns)]).toEqual(["a1"]);
    turns.end("a", "a1");
    expect(takeAll(turns)).toEqual(["c0"]);
  });

  it("forgets one that does not wait any more", () => {
    const turns = new Turns<string>({ maxRunning: 1, maxRunningOfParty: 1 });
    for (const item of ["a1", "a2"]) turns.wait("a", item);
    turns.end("a", "a1");
    expect(takeAll(turns)).toEqual(["a2"]);
    turns.end("a", "a2");
    expect([turns.running, turns.waiting, turns.waitingOf("a")]).toEqual([0, 0, 0]);
  });

  it("knows whether somebody waits for others, or only for itself", () => {
    const turns = new Turns<string>({ maxRunning: 2, maxRunningOfParty: 1 });
    for (const item of ["a1", "a2", "b1"]) turns.wait(item.charAt(0), item);
    expect(takeAll(turns, (party) => party === "a")).toEqual(["a1"]);
    expect(turns.isHeldUp(() => false)).toBe(true);
    expect(turns.isHeldUp((party) => party === "b")).toBe(false);
    expect(takeAll(turns)).toEqual(["b1"]);
    expect(turns.isHeldUp(() => false)).toBe(false);
  });
});
