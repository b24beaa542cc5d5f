import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { jsonMembers } from "./json-members.ts";
import { parsePublished } from "./published-message.ts";

const parse = (text: string) => parsePublished(Buffer.from(text));

describe("a published message", () => {
  it("is tenant, topic and data, in any order, the data as it is written", () => {
    expect(parse('{"tenant":"a","topic":"order.created","data":{"id": 123}}')).toEqual({
      tenant: "a",
      topic: "order.created",
      data: '{"id":123}',
    });
    expect(parse(' {"data" : [1, 12.50, 9007199254740993],\n"topic":"t","tenant":"\\u00e4"} ')).toEqual({
      tenant: "ä",
      topic: "t",
      data: '[1,12.50,"9007199254740993"]',
    });
    expect(parse('{"tenant":"a","topic":"t","data":null}')?.data).toBe("null");
    expect(parse('{"tenant":"a","topic":"t","data":"x"}')?.data).toBe('"x"');
  });

  it.each([
    "",
    "x",
    "null",
    "[]",
    "{}",
    '{"tenant":"a","topic":"t"}',
    '{"tenant":"a","data":1}',
    '{"topic":"t","data":1}',
    '{"tenant":1,"topic":"t","data":1}',
    '{"tenant":"","topic":"t","data":1}',
    '{"tenant":"a\\u0000","topic":"t","data":1}',
    '{"tenant":"a","topic":"t.*","data":1}',
    '{"tenant":"a","topic":"","data":1}',
    '{"tenant":"a","topic":"t","data":1,"more":1}',
    '{"tenant":"a","topic":"t","data":1} x',
    `{"tenant":"a","topic":"t","data":"${"x".repeat(1_048_576)}"}`,
  ])("is refused: %.60j", (text) => {
    expect(parse(text)).toBeUndefined();
  });

  it("is not looked at when it is larger than any event", () => {
    const parsed = vi.spyOn(JSON, "parse");
    expect(parse(`{"tenant":"a","topic":"t","data":1}${" ".repeat(2_000_000)}`)).toBeUndefined();
    expect(parsed).not.toHaveBeenCalled();
    parsed.mockRestore();
  });

  it("is refused when it is not UTF-8", () => {
    expect(parsePublished(Buffer.from('{"tenant":"\xff","topic":"t","data":1}', "latin1"))).toBeUndefined();
  });
});

it("the members of an object are those that JSON.parse finds (property)", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat({ max: 2 }), (object, indent) => {
      const members = jsonMembers(JSON.stringify(object, undefined, indent));
      const expected = Object.entries(JSON.parse(JSON.stringify(object)) as object);
      expect([...members].map(([name, value]) => [name, JSON.parse(value) as unknown])).toEqual(expected);
    }),
  );
});
