import { describe, expect, it } from "vitest";
import { valuesAt } from "./document-values.ts";

function at(path: string, current: unknown, prior?: unknown): unknown[] {
  const documents = { current, prior, currentWithHidden: { a: "hidden" }, priorWithHidden: undefined };
  return [...valuesAt(documents, { path: path.split(".") })];
}

describe("valuesAt", () => {
  it.each([
    ["a", { a: 1 }, [1]],
    ["a", { a: "x" }, ["x"]],
    ["a", { a: null }, [null]],
    ["a", {}, [null]],
    ["a", { a: { b: 1 } }, []],
    ["a.b", { a: { b: false } }, [false]],
    ["a.b", { a: 1 }, [null]],
    ["a", { a: [1, "x", 1] }, [1, "x", null]],
    ["a", { a: [] }, [null]],
    ["a.b", { a: [{ b: 1 }, { b: [2, 3] }, {}] }, [1, 2, 3, null]],
    ["a.1", { a: [5, 6] }, [6, null]],
    ["a.1.b", { a: [5, { b: 7 }] }, [7, null]],
    ["a.1", { a: [{ 1: "x" }] }, ["x", null]],
    ["a.0.0", { a: [[8]] }, [8, null]],
    ["constructor", {}, [null]],
    ["__proto__.a", JSON.parse('{"__proto__":{"a":9}}'), [9]],
  ] as [string, unknown, unknown[]][])("finds at %s of %j", (path, document, values) => {
    expect(new Set(at(path, document))).toEqual(new Set(values));
  });

  it("knows the document of before as well, and none that there is not", () => {
    expect(at("a", { a: 1 }, { a: 2 })).toEqual([1, 2]);
    expect(at("a", undefined, { a: 2 })).toEqual([2]);
    expect(at("a", { a: 1 })).toEqual([1]);
  });

  it("finds what is hidden only for a grant", () => {
    const documents = {
      current: { a: 1 },
      prior: { a: 2 },
      currentWithHidden: { a: 1, b: 3 },
      priorWithHidden: { a: 2, b: 4 },
    };
    expect([...valuesAt(documents, { path: ["b"] })]).toEqual([null]);
    expect([...valuesAt(documents, { path: ["b"], withHidden: true })]).toEqual([3, 4]);
  });
});
