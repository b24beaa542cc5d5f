import { describe, expect, it } from "vitest";
import { isTopic, isTopicPattern, topicMatcher } from "./topic.ts";

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
