import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, expect, it } from "vitest";
import { ReadPauses } from "./read-pauses.ts";

const LONG = 64 * 1024;

let pauses: number;
let reads: ReadPauses;

beforeEach(() => {
  pauses = 0;
  reads = new ReadPauses(() => {
    pauses += 1;
  });
});

/** Some messages that are read at once. */
async function readAtOnce(messages: number, bytes: number): Promise<void> {
  for (let count = 0; count < messages; count += 1) reads.read(bytes / messages);
  await Promise.resolve();
}

it("come right after what is read at once", async () => {
  reads.read(100);
  reads.read(100);
  expect(pauses).toBe(0);
  await Promise.resolve();
  expect(pauses).toBe(1);
  await nextTurn();
  await nextTurn();
  expect(pauses).toBe(1);
});

it("wait for the next read after a long one, which may be short", async () => {
  await readAtOnce(200, LONG);
  expect(pauses).toBe(0);
  await readAtOnce(1, 100);
  expect(pauses).toBe(1);
  await nextTurn();
  await nextTurn();
  expect(pauses).toBe(1);
});

it("come also when nothing follows a long read", async () => {
  await readAtOnce(200, LONG);
  await nextTurn();
  await nextTurn();
  expect(pauses).toBe(1);
});

it("come now and then when all reads are long", async () => {
  for (let read = 0; read < 24; read += 1) await readAtOnce(10, LONG);
  expect(pauses).toBe(3);
});
