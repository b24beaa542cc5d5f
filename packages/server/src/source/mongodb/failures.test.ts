import { BSON, MongoNetworkError, MongoServerError } from "mongodb";
import { describe, expect, it } from "vitest";
import { classify, isPassing, openError, openReason, UnsuitableServerError } from "./errors.ts";
import { Failures } from "./failures.ts";
import { UnreadableEventError } from "./errors.ts";
import { MONGO_DEFAULTS } from "./settings.ts";

const server = (code: number): MongoServerError => new MongoServerError({ message: "no", code });

describe("classify", () => {
  it.each<[string, unknown, string]>([
    ["lost history", server(286), "history_lost"],
    [
      "lost history, read with promoteValues: false",
      new MongoServerError({ code: new BSON.Int32(286) }),
      "history_lost",
    ],
    ["a token that is not found", server(280), "not_resumable"],
    ["an event that is too large", server(10_334), "unreadable"],
    ["bytes that are no BSON", new BSON.BSONError("no"), "unreadable"],
    ["a missing fragment", new UnreadableEventError("no"), "unreadable"],
    ["a missing right", server(13), "unauthorized"],
    ["an election", server(10_107), "unreachable"],
    ["a cut", new MongoNetworkError("no"), "unreachable"],
    ["an error of the server's", server(2), "failed"],
    ["an error of ours", new TypeError("no"), "failed"],
  ])("knows %s", (_name, error, kind) => {
    expect(classify(error)).toBe(kind);
  });
});

describe("Failures", () => {
  const place = "0000000000000001";

  it("goes on from the same place for as long as the server is away, ever more slowly", () => {
    const failures = new Failures({ ...MONGO_DEFAULTS, minRetryMs: 100, maxRetryMs: 1_000 });
    const recoveries = Array.from({ length: 50 }, () => failures.add(server(11_600), place));
    expect(recoveries.every(({ lostReason }) => lostReason === undefined)).toBe(true);
    expect(recoveries[0]?.delayMs).toBeLessThanOrEqual(100);
    expect(recoveries.at(-1)?.delayMs).toBeGreaterThanOrEqual(500);
    expect(recoveries.at(-1)?.delayMs).toBeLessThanOrEqual(1_000);
  });

  it.each([
    [286, "history_lost"],
    [10_334, "change_not_readable"],
  ])("skips at once what fails every time (%i), and slows down all the same", (code, reason) => {
    const failures = new Failures({ ...MONGO_DEFAULTS, minRetryMs: 100, maxRetryMs: 1_000 });
    const recoveries = Array.from({ length: 8 }, (_, n) =>
      failures.add(server(code), `${place}${String(n)}`),
    );
    expect(recoveries.map(({ lostReason }) => lostReason)).toEqual(Array(8).fill(reason));
    expect(recoveries.at(-1)?.delayMs).toBeGreaterThanOrEqual(500);
  });

  it("tries what it does not know three times at one place", () => {
    const failures = new Failures(MONGO_DEFAULTS);
    const add = (at: string): string | undefined => failures.add(server(2), at).lostReason;
    expect([add("1"), add("1"), add("2"), add("2"), add("2"), add("2")]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "stream_failed",
      undefined,
    ]);
  });

  it("tells why until the stream is open again", () => {
    const failures = new Failures(MONGO_DEFAULTS);
    failures.add(new Error("It broke.\n  Twice."), place);
    expect(failures.reason).toBe("It broke. Twice");
    failures.opened();
    expect(failures.reason).toBeUndefined();
  });
});

describe("openError", () => {
  it.each<[string, unknown, RegExp, boolean]>([
    ["a wrong password", server(18), /user or the password.*authSource/, false],
    ["a missing right", server(13), /lacks a right.*docs\/mongodb\.md/, false],
    [
      "a server that is away",
      new MongoNetworkError("connect ECONNREFUSED"),
      /cannot be reached.*ECONNREFUSED/,
      true,
    ],
    ["an unsuitable server", new UnsuitableServerError("Too old."), /Too old\.$/, false],
  ])("says what to do about %s, in one line", (_name, error, sentence, passing) => {
    expect(openReason(error)).toMatch(sentence);
    const { message } = openError("mongodb", error);
    expect(message).toMatch(/^The source "mongodb" cannot be used: [^\n]+\.$/);
    expect(isPassing(error)).toBe(passing);
  });
});
