import { expect, it } from "vitest";
import { PgoutputError } from "./byte-reader.ts";
import { readCopyData, statusMessage } from "./streaming-protocol.ts";

it("reads data and keepalives", () => {
  const data = Buffer.concat([Buffer.from("w"), Buffer.alloc(24), Buffer.from("payload")]);
  expect(readCopyData(data)).toEqual({ kind: "data", payload: Buffer.from("payload") });
  const keepalive = Buffer.alloc(18);
  keepalive.write("k");
  keepalive.writeBigUInt64BE(0x16_b374d848n, 1);
  keepalive[17] = 1;
  expect(readCopyData(keepalive)).toEqual({
    kind: "keepalive",
    walEnd: 0x16_b374d848n,
    replyRequested: true,
  });
});

it.each([Buffer.alloc(0), Buffer.from("k"), Buffer.alloc(24, "w"), Buffer.alloc(40, "x")])(
  "refuses %j",
  (chunk) => {
    expect(() => readCopyData(chunk)).toThrow(PgoutputError);
  },
);

it("tells what has come, and apart from it what may be forgotten", () => {
  const frame = statusMessage(0x16_b374d848n, 0x16_0000d848n, true, 946_684_800_001);
  expect(frame.length).toBe(39);
  expect(frame.toString("latin1", 0, 1)).toBe("d");
  expect(frame.readUInt32BE(1)).toBe(38);
  expect(frame.toString("latin1", 5, 6)).toBe("r");
  expect([6, 14, 22].map((offset) => frame.readBigUInt64BE(offset))).toEqual([
    0x16_b374d848n,
    0x16_0000d848n,
    0x16_0000d848n,
  ]);
  expect(frame.readBigInt64BE(30)).toBe(1_000n);
  expect(frame[38]).toBe(1);
  expect(statusMessage(0n, 0n, false)[38]).toBe(0);
});
