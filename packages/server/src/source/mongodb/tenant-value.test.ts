import { BSON, Binary, Double, Int32, Long, ObjectId, UUID } from "mongodb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tenantForms, tenantText, valueAt } from "./tenant-value.ts";

describe("a tenant's BSON forms", () => {
  it.each<[string, number]>([
    ["acme", 1],
    ["7", 2],
    ["-7", 2],
    ["0", 2],
    ["-0", 1],
    ["007", 1],
    ["7.0", 1],
    ["2.5", 2],
    ["1e3", 1],
    ["NaN", 1],
    ["Infinity", 1],
    ["9223372036854775807", 2],
    ["9223372036854775808", 1],
    ["65a1b2c3d4e5f60718293a4b", 2],
    ["65A1B2C3D4E5F60718293A4B", 1],
    ["f81d4fae-7dec-41d0-a765-00a0c91e6bf6", 2],
    ["F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6", 1],
    ["$field", 1],
    ["", 1],
  ])("of %j are %i", (tenant, count) => {
    expect(tenantForms(tenant)).toHaveLength(count);
  });

  it("have the tenant's text, and no other (property)", () => {
    const text = fc.oneof(
      fc.string(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }).map(String),
      fc.double().map(String),
      fc.stringMatching(/^[0-9a-f]{24}$/),
      fc.uuid(),
    );
    fc.assert(
      fc.property(text, (tenant) => {
        for (const form of tenantForms(tenant)) {
          const { form: read } = BSON.deserialize(BSON.serialize({ form }), { promoteValues: false });
          expect(tenantText(read)).toBe(tenant);
        }
      }),
    );
  });
});

describe("tenantText", () => {
  it.each<[string, unknown, string | undefined]>([
    ["an int", new Int32(5), "5"],
    ["a whole double", new Double(5), "5"],
    ["a long", Long.fromString("9007199254740993"), "9007199254740993"],
    ["an ObjectId", new ObjectId("65a1b2c3d4e5f60718293a4b"), "65a1b2c3d4e5f60718293a4b"],
    ["a UUID", new UUID("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"],
    ["a legacy UUID", new Binary(Buffer.alloc(16), 3), undefined],
    ["NaN", new Double(Number.NaN), undefined],
    ["null", null, undefined],
    ["nothing", undefined, undefined],
    ["true", true, undefined],
    ["a date", new Date(0), undefined],
    ["a list", ["a"], undefined],
    ["a document", { a: "a" }, undefined],
  ])("of %s", (_name, value, text) => {
    expect(tenantText(value)).toBe(text);
  });
});

describe("valueAt", () => {
  it("follows a path through documents, not through lists, classes or inherited names", () => {
    expect(valueAt({ a: { b: "c" } }, ["a", "b"])).toBe("c");
    expect(valueAt({ a: [{ b: "c" }] }, ["a", "b"])).toBeUndefined();
    expect(valueAt({ a: new Int32(1) }, ["a", "value"])).toBeUndefined();
    expect(valueAt({}, ["constructor"])).toBeUndefined();
    expect(valueAt("text", ["length"])).toBeUndefined();
  });
});
