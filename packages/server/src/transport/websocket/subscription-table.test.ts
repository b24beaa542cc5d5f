import { describe, expect, it } from "vitest";
import type { ChannelSubscription } from "./channel-subscription.ts";
import type { Subject } from "./subject.ts";
import { SubscriptionTable } from "./subscription-table.ts";

const MESSAGES: Subject = { kind: "collection", collection: "messages" };

/** Notes what it is told. */
function subscriptionTo(subject: Subject, log: string[] = []): ChannelSubscription {
  const name = subject.kind === "collection" ? subject.collection : subject.pattern;
  const subscription: Pick<ChannelSubscription, "subject" | "isLive" | "end" | "resume" | "progressed"> = {
    subject,
    isLive: true,
    end: () => log.push(`end ${name}`),
    resume: () => log.push(name),
    progressed: () => log.push(`progressed ${name}`),
  };
  return subscription as ChannelSubscription;
}

describe("the subscriptions of a connection", () => {
  it("have ids of their own", () => {
    const table = new SubscriptionTable(10);
    table.add("1", subscriptionTo(MESSAGES));
    expect(table.whyTaken("1")).toMatchObject({ code: "duplicate_subscription" });
    expect(table.whyTaken("2")).toBeUndefined();
    expect(table.whyTaken(undefined)).toBeUndefined();
    table.end("1");
    expect(table.whyTaken("1")).toBeUndefined();
  });

  it("differ in what they are to; a topic and a collection of one name do", () => {
    const table = new SubscriptionTable(10);
    table.add("1", subscriptionTo(MESSAGES));
    expect(() => table.requireRoom(MESSAGES)).toThrow(
      expect.objectContaining({ code: "duplicate_subscription", message: expect.stringContaining('"1"') }),
    );
    table.requireRoom({ kind: "topic", pattern: "messages" });
    table.end("1");
    table.requireRoom(MESSAGES);
  });

  it("are bounded in number", () => {
    const table = new SubscriptionTable(1);
    table.add("1", subscriptionTo(MESSAGES));
    expect(() => table.requireRoom({ kind: "topic", pattern: "a" })).toThrow(
      expect.objectContaining({ code: "too_many_subscriptions" }),
    );
  });

  it("are all ended with it", () => {
    const log: string[] = [];
    const table = new SubscriptionTable(10);
    table.add("1", subscriptionTo(MESSAGES, log));
    table.add("2", subscriptionTo({ kind: "topic", pattern: "a.*" }, log));
    expect(table.subjects).toEqual({ collections: ["messages"], topics: ["a.*"] });
    table.endAll();
    expect(log).toEqual(["end messages", "end a.*"]);
    expect(table).toMatchObject({ hasHeartbeats: false, subjects: { collections: [], topics: [] } });
    expect(table.end("1")).toBe(false);
  });

  it("are resumed each first in turn, so that none starves", () => {
    const log: string[] = [];
    const table = new SubscriptionTable(10);
    for (const collection of ["a", "b", "c"]) {
      table.add(collection, subscriptionTo({ kind: "collection", collection }, log));
    }
    const firsts = Array.from({ length: 6 }, () => {
      log.length = 0;
      table.resume();
      expect(log.toSorted()).toEqual(["a", "b", "c"]);
      return log[0];
    });
    for (const collection of ["a", "b", "c"])
      expect(firsts.filter((name) => name === collection)).toHaveLength(2);
  });
});
