import { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, expect, it } from "vitest";
import { OpeningTurns, type OpeningCost } from "./opening-turns.ts";

let turns: OpeningTurns;
let opened: string[];

beforeEach(() => {
  turns = new OpeningTurns();
  opened = [];
});

/** Its socket, which has no connection. */
function add(name: string, cost: OpeningCost): Socket {
  const socket = new Socket();
  turns.add(socket, cost, () => opened.push(name));
  return socket;
}

/** What was opened in each turn of the event loop, until so many are. */
async function openedPerTurn(count: number): Promise<readonly (readonly string[])[]> {
  const perTurn: string[][] = [];
  let before = 0;
  while (before < count) {
    perTurn.push(opened.slice(before));
    before = opened.length;
    await nextTurn();
  }
  return perTurn.filter((names) => names.length > 0);
}

it("opens at once what comes alone", async () => {
  for (let index = 0; index < 3; index += 1) {
    add(String(index), 2);
    expect(opened).toHaveLength(index + 1);
    await nextTurn();
  }
});

it("opens those of a storm in order, some at a time, whatever their kinds", async () => {
  const names = Array.from({ length: 500 }, (_, index) => String(index));
  for (const name of names) add(name, Number(name) % 2 === 0 ? 2 : 1);
  const perTurn = await openedPerTurn(names.length);
  expect(opened).toEqual(names);
  for (const turn of perTurn) expect(turn.length).toBeLessThan(50);
  expect(perTurn.length).toBeGreaterThanOrEqual(500 / 50);
});

it("takes fewer at a time of those that cost more", async () => {
  const sizes: number[] = [];
  for (const cost of [1, 2] as const) {
    opened = [];
    for (let index = 0; index < 300; index += 1) add(String(index), cost);
    const [, second] = await openedPerTurn(300);
    sizes.push(second?.length ?? 0);
    await nextTurn();
  }
  expect(sizes[0]).toBe(2 * (sizes[1] ?? 0));
});

it("lets nobody overtake those that wait", async () => {
  for (let index = 0; index < 300; index += 1) add(String(index), 1);
  await nextTurn();
  expect(opened.length).toBeLessThan(300);
  add("late", 1);
  expect(opened).not.toContain("late");
  await openedPerTurn(301);
  expect(opened.at(-1)).toBe("late");
});

it("does not open for a client that has left while it waited", async () => {
  const sockets = Array.from({ length: 300 }, (_, index) => add(String(index), 1));
  expect(opened.length).toBeLessThan(200);
  for (const socket of sockets.slice(200)) socket.destroy();
  add("last", 1);
  await openedPerTurn(201);
  expect(opened).toHaveLength(201);
  expect(opened.at(-1)).toBe("last");
});

it("lets one of each TCP connection wait", async () => {
  for (let index = 0; index < 100; index += 1) add(String(index), 1);
  const socket = new Socket();
  expect(turns.add(socket, 1, () => opened.push("first"))).toBe(true);
  expect(turns.add(socket, 1, () => opened.push("second"))).toBe(false);
  await openedPerTurn(101);
  expect(turns.add(socket, 1, () => opened.push("third"))).toBe(true);
  await openedPerTurn(102);
  expect(opened.slice(100)).toEqual(["first", "third"]);
});
