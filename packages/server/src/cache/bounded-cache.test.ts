import fc from "fast-check";
import { expect, it } from "vitest";
import { BoundedCache } from "./bounded-cache.ts";

it("forgets what was not used for longest", () => {
  const cache = new BoundedCache<number>(3);
  for (const [index, key] of ["a", "b", "c"].entries()) cache.set(key, index);
  expect(cache.get("a")).toBe(0);
  cache.set("d", 3);
  expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual([0, undefined, 2, 3]);
  expect(cache.size).toBe(3);
});

/** The same, as a list in order of use. */
class Model {
  entries: (readonly [string, number])[] = [];

  get(key: string): number | undefined {
    const entry = this.entries.find(([name]) => name === key);
    if (entry === undefined) return undefined;
    this.set(key, entry[1]);
    return entry[1];
  }

  set(key: string, value: number): void {
    this.entries = [...this.entries.filter(([name]) => name !== key), [key, value] as const].slice(-4);
  }
}

it("remembers what a list would, whatever is done to it (property)", () => {
  const step = fc.record({
    what: fc.constantFrom("get", "set", "delete", "deleteWhere"),
    key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    value: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const cache = new BoundedCache<number>(4);
      const model = new Model();
      for (const { what, key, value } of steps) {
        if (what === "get") expect(cache.get(key)).toBe(model.get(key));
        else if (what === "set") {
          cache.set(key, value);
          model.set(key, value);
        } else if (what === "delete") {
          cache.delete(key);
          model.entries = model.entries.filter(([name]) => name !== key);
        } else {
          cache.deleteWhere((each) => each === value);
          model.entries = model.entries.filter(([, each]) => each !== value);
        }
        expect(cache.size).toBe(model.entries.length);
      }
      for (const [key, value] of model.entries) expect(cache.get(key)).toBe(value);
    }),
    { numRuns: 1000 },
  );
});
