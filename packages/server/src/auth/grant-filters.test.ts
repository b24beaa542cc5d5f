import { RealtimeError } from "@paperdb/protocol";
import { describe, expect, it } from "vitest";
import { DEFAULT_FILTER_LIMITS } from "../filter/filter-limits.ts";
import {
  areSameFilters,
  checkFilters,
  intersectFilters,
  NO_FILTERS,
  parseGrantFilters,
  readGrantFilters,
  type GrantFilters,
} from "./grant-filters.ts";

const limits = DEFAULT_FILTER_LIMITS;
const parse = (value: unknown): GrantFilters => parseGrantFilters(value, "filters", limits);

function problemOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    if (error instanceof RealtimeError) return `${error.code} ${error.message}`;
    throw error;
  }
}

describe("filters by collection", () => {
  it("are of collections of any name", () => {
    const names = ["__proto__", "constructor", "a b", "app.todos"];
    const filters = parse(
      JSON.parse(JSON.stringify(Object.fromEntries(names.map((name) => [name, { a: 1 }])))),
    );
    expect([...filters.keys()]).toEqual(names);
    for (const filter of filters.values()) {
      expect([filter.matches({ a: 1 }), filter.matches({ a: 2 })]).toEqual([true, false]);
    }
  });

  it("leave out those that say nothing", () => {
    expect(parse({ todos: {}, notes: { $and: [{}] } }).size).toBe(0);
  });

  it.each([
    [null, "invalid_filter filters is not an object"],
    [[], "invalid_filter filters is not an object"],
    ["{}", "invalid_filter filters is not an object"],
    [{ todos: "{}" }, "invalid_filter filters.todos is text"],
    [{ todos: null }, "invalid_filter filters.todos is not an object"],
    [{ "a b": [] }, 'invalid_filter filters["a b"] is not an object'],
    [{ todos: { a: { $near: 1 } } }, "invalid_filter filters.todos.a.$near"],
    [{ todos: { a: "x".repeat(8192) } }, "filter_too_large filters.todos is larger than 8192"],
  ])("are refused: %j", (value, problem) => {
    expect(problemOf(() => parse(value))).toContain(problem);
  });

  it("are checked against the collections that are granted", () => {
    const value = { todos: { a: 1 } };
    expect(checkFilters(value, { origin: "where", collections: undefined, limits })).toBe(value);
    expect(checkFilters(value, { origin: "where", collections: ["todos"], limits })).toBe(value);
    expect(checkFilters(undefined, { origin: "where", collections: [], limits })).toBeUndefined();
    expect(problemOf(() => checkFilters(value, { origin: "where", collections: ["notes"], limits }))).toMatch(
      /^invalid_request where\.todos is for a collection that/,
    );
  });

  it("may be stored when they are larger than what is accepted now; what cannot be read grants nothing", () => {
    const stored = { todos: { a: { $in: Array.from({ length: 500 }, (_, index) => index) } } };
    expect(readGrantFilters(stored)?.size).toBe(1);
    expect(readGrantFilters(null)).toBe(NO_FILTERS);
    expect(readGrantFilters(undefined)).toBe(NO_FILTERS);
    expect(readGrantFilters({ todos: { a: { $near: 1 } } })).toBeUndefined();
    expect(readGrantFilters([])).toBeUndefined();
  });

  it("of two grants must both hold", () => {
    const both = intersectFilters(
      parse({ todos: { owner: "ada" }, notes: { a: 1 } }),
      parse({ todos: { $or: [{ owner: "eve" }, { open: true }] }, lists: { b: 2 } }),
    );
    expect([...both.keys()].toSorted()).toEqual(["lists", "notes", "todos"]);
    const todos = both.get("todos");
    expect(todos?.matches({ owner: "ada", open: true })).toBe(true);
    expect(todos?.matches({ owner: "ada", open: false })).toBe(false);
    expect(todos?.matches({ owner: "eve", open: true })).toBe(false);
    expect(both.get("lists")?.matches({ b: 3 })).toBe(false);
  });

  it("are the same when they mean the same", () => {
    const filters = parse({ todos: { a: 1, b: 2 } });
    expect(areSameFilters(filters, parse({ todos: { $and: [{ b: { $eq: 2 } }, { a: 1 }] } }))).toBe(true);
    expect(areSameFilters(filters, parse({ todos: { a: 1 } }))).toBe(false);
    expect(areSameFilters(filters, parse({ notes: { a: 1, b: 2 } }))).toBe(false);
    expect(areSameFilters(filters, NO_FILTERS)).toBe(false);
    expect(areSameFilters(NO_FILTERS, filters)).toBe(false);
  });
});
