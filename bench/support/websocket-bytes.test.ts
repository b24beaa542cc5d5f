import { expect, test } from "vitest";
import { clientFrame, serverFrame, upgradeRequest } from "./websocket-bytes.ts";

test("writes a short frame of a client with a mask of zero", () => {
  expect(clientFrame("text", "hi")).toEqual(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
});

test("writes control frames", () => {
  expect(serverFrame("ping", "")).toEqual(Buffer.from([0x89, 0]));
  expect(clientFrame("pong", "")).toEqual(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
});

test("says longer lengths in two bytes, and counts bytes", () => {
  const frame = serverFrame("binary", "é".repeat(100));
  expect(frame.subarray(0, 4)).toEqual(Buffer.from([0x82, 126, 0, 200]));
  expect(frame.length).toBe(204);
});

test("refuses what does not fit", () => {
  expect(() => serverFrame("text", "x".repeat(65_536))).toThrow("65536 bytes");
});

test("asks for a subprotocol only where one is named", () => {
  expect(upgradeRequest("/a?b").toString()).toMatch(/^GET \/a\?b HTTP\/1\.1\r\n(?:(?!protocol).)*\r\n\r\n$/s);
  expect(upgradeRequest("/", { protocol: "p1" }).toString()).toContain("\r\nsec-websocket-protocol: p1\r\n");
});
