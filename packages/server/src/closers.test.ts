import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { Closers } from "./closers.ts";

test("what was opened last is closed first, each once", async () => {
  const closed: string[] = [];
  const closers = new Closers();
  closers.add(() => void closed.push("first"));
  closers.add(() => void closed.push("last"));
  await closers.close();
  await closers.close();
  expect(closed).toEqual(["last", "first"]);
});

test("one that fails does not keep the others open", async () => {
  const closed: string[] = [];
  const closers = new Closers();
  closers.add(() => void closed.push("database"));
  closers.add(() => Promise.reject(new Error("The source did not close.")));
  closers.add(() => {
    throw new Error("The server did not close.");
  });
  await expect(closers.close()).rejects.toThrow("The server did not close.");
  expect(closed).toEqual(["database"]);
  await closers.close();
});

test("who asks while it is being closed waits for the end too", async () => {
  const closed: string[] = [];
  const closers = new Closers();
  closers.add(async () => {
    await delay(50);
    closed.push("slow");
  });
  const first = closers.close();
  await closers.close();
  expect(closed).toEqual(["slow"]);
  await first;
});

test("what is opened meanwhile is closed by the next call", async () => {
  const closed: string[] = [];
  const closers = new Closers();
  await closers.close();
  closers.add(() => void closed.push("late"));
  await closers.close();
  expect(closed).toEqual(["late"]);
});
