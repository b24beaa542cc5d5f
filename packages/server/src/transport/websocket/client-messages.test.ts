import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readClientMessage } from "./client-messages.ts";

function read(message: unknown): unknown {
  const text = typeof message === "string" ? message : JSON.stringify(message);
  const received = readClientMessage(Buffer.from(text), false);
  if (received.kind === "message") return received.message;
  const { code, message: sentence } = received.error;
  return received.kind === "refused" ? [received.id, code, sentence] : `violation: ${sentence}`;
}

describe("a client's message", () => {
  it.each([
    { type: "subscribe", id: "1", collection: "messages" },
    { type: "subscribe", id: "1", topic: "order.*", cursor: "abc", snapshot: false },
    { type: "subscribe", id: "1", collection: "a", where: { any: ["thing"] } },
    { type: "unsubscribe", id: "x".repeat(128) },
    { type: "auth", token: "a.b.c" },
  ])("%j is read as it is", (message) => {
    expect(read(message)).toEqual(message);
  });

  it.each<[unknown, RegExp]>([
    ["", /no JSON object/],
    ["{", /no JSON object/],
    ["null", /no JSON object/],
    ["[]", /no JSON object/],
    ['"subscribe"', /no JSON object/],
    ["{}", /"type" .* subscribe, unsubscribe, auth/],
    [{ type: "publish" }, /"type"/],
    [{ type: "constructor" }, /"type"/],
    [{ type: "__proto__" }, /"type"/],
    [{ type: 1 }, /"type"/],
  ])("%j ends the connection", (message, sentence) => {
    expect(read(message)).toMatch(/^violation: /);
    expect(read(message)).toMatch(sentence);
  });

  it("that is binary ends the connection", () => {
    const message = Buffer.from('{"type":"unsubscribe","id":"1"}');
    expect(readClientMessage(message, true)).toMatchObject({ kind: "violation" });
    expect(readClientMessage(message, false)).toMatchObject({ kind: "message" });
  });

  it.each<[unknown, string | undefined, RegExp]>([
    [{ type: "subscribe", collection: "a" }, undefined, /"id" of the subscribe message must be a string/],
    [{ type: "subscribe", id: "", collection: "a" }, undefined, /"id" .* must not be empty/],
    [{ type: "subscribe", id: 7, collection: "a" }, undefined, /"id" .* must be a string/],
    [{ type: "unsubscribe", id: "x".repeat(129) }, undefined, /"id" .* 128 characters at most/],
    [{ type: "subscribe", id: "1", collection: 5 }, "1", /"collection" .* must be a string/],
    [{ type: "subscribe", id: "1", topic: null }, "1", /"topic" .* must be a string/],
    [{ type: "subscribe", id: "1", collection: "a", cursor: {} }, "1", /"cursor" .* must be a string/],
    [
      { type: "subscribe", id: "1", collection: "a", snapshot: 1 },
      "1",
      /"snapshot" .* must be true or false/,
    ],
    [{ type: "subscribe", id: "1", collection: "a", color: 1, size: 2 }, "1", /takes no "color", "size"/],
    [{ type: "auth" }, undefined, /"token" of the auth message must be a string/],
    [{ type: "auth", token: "" }, undefined, /"token" .* must not be empty/],
    [{ type: "auth", token: "t", id: "1" }, undefined, /takes no "id"/],
    [{ type: "unsubscribe", id: "1", color: 1 }, undefined, /takes no "color"/],
  ])("%j is refused, and the field is named", (message, id, sentence) => {
    expect(read(message)).toEqual([id, "invalid_request", expect.stringMatching(sentence)]);
  });

  it("is told only the beginning of names that it has made up", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`name ${index}`, 1]));
    for (const members of [many, { ["\\".repeat(32_000)]: 1 }, { ["\u0000🦊".repeat(20_000)]: 1 }]) {
      const [, code, sentence] = read({ type: "unsubscribe", id: "1", ...members }) as string[];
      expect([code, sentence?.slice(0, 35)]).toEqual([
        "invalid_request",
        expect.stringContaining("message takes no"),
      ]);
      expect(sentence?.length).toBeLessThan(200);
    }
  });

  it("of whatever kind is answered with one sentence, without what it contains", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const received = readClientMessage(Buffer.from(text), false);
        if (received.kind !== "message") expect(received.error.message).toMatch(/^[^]{1,300}\.$/);
      }),
    );
  });
});
