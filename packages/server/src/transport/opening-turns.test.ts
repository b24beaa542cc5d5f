import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { OpeningTurns } from "./opening-turns.ts";

async function open(turns: OpeningTurns, name: string, opened: string[]): Promise<void> {
  await turns.take();
  opened.push(name);
}

it("opens a few at once, the others later, in order, and none twice", async () => {
  const turns = new OpeningTurns(3);
  const opened: string[] = [];
  const names = Array.from({ length: 10 }, (_, index) => String(index));
  const all = Promise.all(names.map((name) => open(turns, name, opened)));
  const counts: number[] = [];
  while (opened.length < names.length) {
    await nextTurn();
    counts.push(opened.length);
  }
  await all;
  expect(opened).toEqual(names);
  for (const [index, count] of counts.entries())
    expect(count - (counts[index - 1] ?? 0)).toBeLessThanOrEqual(6);
  expect(counts.length).toBeGreaterThanOrEqual(3);
});

it("has no turn to wait for when few come", async () => {
  const turns = new OpeningTurns(2);
  for (let round = 0; round < 5; round += 1) {
    expect(turns.take()).toBeUndefined();
    expect(turns.take()).toBeUndefined();
    expect(turns.take()).toBeInstanceOf(Promise);
    await nextTurn();
    await nextTurn();
    await nextTurn();
  }
});

it("lets nobody overtake those that wait", async () => {
  const turns = new OpeningTurns(1);
  const opened: string[] = [];
  const first = ["a", "b", "c"].map((name) => open(turns, name, opened));
  await nextTurn();
  const last = open(turns, "d", opened);
  await Promise.all([...first, last]);
  expect(opened).toEqual(["a", "b", "c", "d"]);
});
