import {
  BSON,
  Binary,
  BSONSymbol,
  Code,
  DBRef,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
} from "mongodb";
import { ObjectId, Timestamp, UUID } from "mongodb";
import { describe, expect, it } from "vitest";
import { bsonJson, documentIdText } from "./bson-json.ts";

/** As a change stream reads it. */
function reread(document: object): unknown {
  const bytes = BSON.serialize(document, { ignoreUndefined: false });
  return BSON.deserialize(bytes, { promoteValues: false, bsonRegExp: true }).value;
}

describe("bsonJson", () => {
  it.each<[string, unknown, string]>([
    ["a string", 'a"\n\u2028', JSON.stringify('a"\n\u2028')],
    ["true", true, "true"],
    ["null", null, "null"],
    ["undefined", undefined, "null"],
    ["an int", new Int32(-1), "-1"],
    ["a double", new Double(0.1), "0.1"],
    ["a whole double", new Double(1e21), "1e+21"],
    ["negative zero", new Double(-0), "0"],
    ["NaN", new Double(Number.NaN), '"NaN"'],
    ["infinity", new Double(Infinity), '"Infinity"'],
    ["minus infinity", new Double(-Infinity), '"-Infinity"'],
    ["a safe long", Long.fromString("-9007199254740991"), "-9007199254740991"],
    ["a long beyond", Long.fromString("9007199254740992"), '"9007199254740992"'],
    ["the smallest long", Long.MIN_VALUE, '"-9223372036854775808"'],
    ["a decimal", Decimal128.fromString("12.50"), "12.50"],
    ["a decimal of many digits", Decimal128.fromString("1.00000000000000000001"), '"1.00000000000000000001"'],
    ["a decimal with an exponent", Decimal128.fromString("1E+3"), "1E+3"],
    ["a decimal that is none", Decimal128.fromString("NaN"), '"NaN"'],
    ["an infinite decimal", Decimal128.fromString("-Infinity"), '"-Infinity"'],
    ["a date", new Date(1), '"1970-01-01T00:00:00.001Z"'],
    ["a date before Christ", new Date("-000044-03-15T00:00:00Z"), '"-000044-03-15T00:00:00.000Z"'],
    ["an ObjectId", new ObjectId("65a1b2c3d4e5f60718293a4b"), '"65a1b2c3d4e5f60718293a4b"'],
    ["a UUID", new UUID("F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6"), '"f81d4fae-7dec-41d0-a765-00a0c91e6bf6"'],
    ["bytes", new Binary(Buffer.from([251, 255])), '"+/8="'],
    ["no bytes", new Binary(Buffer.alloc(0)), '""'],
    ["bytes of another subtype", new Binary(Buffer.alloc(16), 3), '"AAAAAAAAAAAAAAAAAAAAAA=="'],
    ["a UUID of a wrong length", new Binary(Buffer.from([1]), 4), '"AQ=="'],
    ["a timestamp", new Timestamp({ t: 4_294_967_295, i: 7 }), '{"t":4294967295,"i":7}'],
    ["a pattern", /a\/b"/im, String.raw`{"pattern":"a\\/b\"","options":"im"}`],
    ["a symbol", new BSONSymbol("s"), '"s"'],
    ["code", new Code("() => 1"), '"() => 1"'],
    ["code with a scope", new Code("x", { x: new Int32(1) }), '{"code":"x","scope":{"x":1}}'],
    [
      "a reference",
      new DBRef("c", new ObjectId("65a1b2c3d4e5f60718293a4b")),
      '{"$ref":"c","$id":"65a1b2c3d4e5f60718293a4b"}',
    ],
    ["the lowest key", new MinKey(), '"MinKey"'],
    ["the highest key", new MaxKey(), '"MaxKey"'],
    ["nesting", { a: [{ b: [] }, {}, [null]] }, '{"a":[{"b":[]},{},[null]]}'],
    [
      "names that mean something in JavaScript",
      { toJSON: "x", constructor: true },
      '{"toJSON":"x","constructor":true}',
    ],
  ])("writes %s", (_name, value, json) => {
    expect(bsonJson(reread({ value }))).toBe(json);
    expect(() => JSON.parse(json)).not.toThrow();
  });

  it("takes a document that looks like a BSON class for a document", () => {
    const bytes = Buffer.from(
      // {value: {_bsontype: "Long", low: 1, high: 0}}
      BSON.serialize({ value: { Xbsontype: "Long", low: 1, high: 0 } }),
    );
    bytes.write("_", bytes.indexOf("Xbsontype"));
    const { value } = BSON.deserialize(bytes, { promoteValues: false });
    expect(bsonJson(value)).toBe('{"_bsontype":"Long","low":1,"high":0}');
  });

  it("writes null for a date that JavaScript's calendar does not reach", () => {
    expect(bsonJson({ date: new Date(Number.NaN) })).toBe('{"date":null}');
  });

  it("leaves out hidden paths, also inside arrays", () => {
    const document = {
      a: "1",
      b: { c: "2", d: "3" },
      e: [{ c: "4", f: "5" }, [{ f: "6" }]],
      "b.c": "a name with a dot",
    };
    expect(bsonJson(document, new Set(["a", "b.c", "e.f"]))).toBe('{"b":{"d":"3"},"e":[{"c":"4"},[{}]]}');
    expect(bsonJson({ a: "1", b: "2" }, new Set(["b"]))).toBe('{"a":"1"}');
    const reference = new DBRef("c", ObjectId.createFromHexString("64b7f0c2a1b2c3d4e5f60718"), undefined, {
      a: "2",
      b: { c: "3", d: "4" },
    });
    expect(bsonJson({ r: [reference] }, new Set(["r.a", "r.b.c"]))).toBe(
      '{"r":[{"$ref":"c","$id":"64b7f0c2a1b2c3d4e5f60718","b":{"d":"4"}}]}',
    );
  });
});

describe("documentIdText", () => {
  it.each<[unknown, string]>([
    ["text", "text"],
    ['"quoted"', '"quoted"'],
    [new Int32(7), "7"],
    [Long.fromString("9007199254740993"), "9007199254740993"],
    [new ObjectId("65a1b2c3d4e5f60718293a4b"), "65a1b2c3d4e5f60718293a4b"],
    [new UUID("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [{ a: new Int32(1), b: "x" }, '{"a":1,"b":"x"}'],
  ])("writes %s", (id, text) => {
    expect(documentIdText(id)).toBe(text);
  });
});
