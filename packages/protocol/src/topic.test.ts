import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTopic, isTopicPattern, topicMatcher, topicCovers } from "./topic.ts";

describe("topics", () => {
  it.each(["order", "order.created", "a-b.c_d.9"])("takes %s", (topic) => {
    expect(isTopic(topic)).toBe(true);
  });

  it.each(["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "ä", "a\n", "a".repeat(257)])(
    "refuses %j",
    (topic) => {
      expect(isTopic(topic)).toBe(false);
    },
  );

  it.each(["order.*", "*", ">", "*.created", "order.>", "order.*.>", "order.created"])(
    "takes the pattern %s",
    (pattern) => {
      expect(isTopicPattern(pattern)).toBe(true);
    },
  );

  it.each(["", "order.", "order>", "order.>.x", "or*", "**", ">.a"])("refuses the pattern %j", (pattern) => {
    expect(isTopicPattern(pattern)).toBe(false);
  });

  it.each([
    ["order.*", "order.created", true],
    ["order.*", "order", false],
    ["order.*", "order.created.now", false],
    ["order.>", "order.created.now", true],
    ["order.>", "order.created", true],
    ["order.>", "order", false],
    ["*.created", "user.created", true],
    ["*.created", "user.deleted", false],
    [">", "a.b.c", true],
    ["order.created", "order.created", true],
    ["order.created", "orderxcreated", false],
    ["a.*.c", "a.b.c", true],
  ])("%s on %s: %s", (pattern, topic, expected) => {
    expect(topicMatcher(pattern)(topic)).toBe(expected);
  });
});

describe("a pattern covers another", () => {
  const segment = fc.constantFrom("a", "b", "*");
  const pattern = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([segments, open]) => [...segments, ...(open ? [">"] : [])].join("."));

  /** Topics that a pattern stands for, with segments that no pattern names. */
  function topicsOf(text: string): readonly string[] {
    const named = text.replaceAll("*", "x");
    return [named.replace(">", "x"), named.replace(">", "x.x")];
  }

  it("exactly when it matches all that the other matches (property)", () => {
    fc.assert(
      fc.property(pattern, pattern, (granted, wanted) => {
        expect(topicCovers(granted, wanted)).toBe(topicsOf(wanted).every(topicMatcher(granted)));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    [">", ">", true],
    ["order.*", "order.created", true],
    ["order.created", "order.*", false],
    ["order.>", "order", false],
  ])("%s, %s: %s", (granted, wanted, expected) => {
    expect(topicCovers(granted, wanted)).toBe(expected);
  });
});
