import fc from "fast-check";
import { RealtimeError } from "@paperdb/protocol";
import { expect, it } from "vitest";
import { publishBodySchema, readPublishBody } from "./publish-body.ts";

it("takes a topic and any JSON value", () => {
  for (const data of [1, null, "x", [], { a: { b: [false] } }]) {
    expect(readPublishBody({ topic: "order.created", data })).toEqual({ topic: "order.created", data });
  }
});

it("takes and refuses what the schema does (property)", () => {
  const member = fc.constantFrom("topic", "data", "__proto__", "constructor", "0", "");
  const object = fc
    .array(fc.tuple(member, fc.oneof(fc.constant("a.b"), fc.jsonValue())), { maxLength: 4 })
    .map(
      (entries) =>
        JSON.parse(
          `{${entries.map((each) => each.map((part) => JSON.stringify(part)).join(":")).join()}}`,
        ) as unknown,
    );
  fc.assert(
    fc.property(fc.oneof(object, fc.jsonValue(), fc.constant(undefined)), (body) => {
      const read = publishBodySchema.safeParse(body);
      let refusal: unknown;
      try {
        expect(readPublishBody(body)).toEqual(read.data);
      } catch (error) {
        refusal = error;
      }
      if (refusal === undefined) expect(read.success).toBe(true);
      else expect(refusal).toBeInstanceOf(RealtimeError);
      if (!read.success) expect(refusal).toBeDefined();
    }),
    { numRuns: 500 },
  );
});

it.each([
  [{ data: 1 }, '"topic" in the body: is missing: a dot-separated name, as text.'],
  [{ topic: "a" }, '"data" in the body is missing: give any JSON value.'],
  [{ topic: "a", data: 1, tenant: "b" }, 'The body: Unrecognized key: "tenant".'],
  [[], "The body: Invalid input: expected object, received array."],
  [undefined, "The body: Invalid input: expected object, received undefined."],
])("says what is wrong with %j", (body, sentence) => {
  expect(() => readPublishBody(body)).toThrow(sentence);
});
