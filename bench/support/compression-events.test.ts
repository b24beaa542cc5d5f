import { expect, it } from "vitest";
import { chatMessage } from "./compression-events.ts";

it.each([300, 2000])("is JSON of exactly %i bytes, each time another one", (bytes) => {
  const messages = Array.from({ length: 100 }, (_, index) => chatMessage(bytes, index + 1));
  for (const message of messages) expect(Buffer.byteLength(message)).toBe(bytes);
  expect(JSON.parse(messages[6] ?? "")).toMatchObject({ seq: "0000000007" });
  expect(new Set(messages.map((message) => message.slice(0, 200))).size).toBe(100);
});
