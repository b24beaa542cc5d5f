import { once } from "node:events";
import type { Writable } from "node:stream";
import * as ws from "ws";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameError, OPCODES } from "./frame-head.ts";
import { FrameReader, type FrameEvents, type FrameLimits } from "./frame-reader.ts";

const LIMITS: FrameLimits = { maxMessageBytes: 300, maxMessageFrames: 4 };

/** One frame, right or wrong. */
interface Frame {
  readonly first: number;
  readonly isMasked: boolean;
  readonly payload: Buffer;
  /** The form of the length: it need not be the shortest. */
  readonly lengthBytes: 0 | 2 | 8;
}

/** What was read, as text: so both readers can be compared. */
type Log = string[];

function logMessage(log: Log, data: Buffer, isBinary: boolean): void {
  log.push(`${isBinary ? "binary" : "text"} ${data.toString("hex")}`);
}

function readWithOurs(chunks: readonly Buffer[], limits = LIMITS): Log {
  const log: Log = [];
  let isDone = false;
  const events: FrameEvents = {
    wantsMessages: true,
    message: (data, isBinary) => logMessage(log, data, isBinary),
    pinged: (payload) => log.push(`ping ${payload.toString("hex")}`),
    ponged: () => log.push("pong"),
    saidGoodbye: (code, reason) => {
      isDone = true;
      log.push(`goodbye ${code ?? 1005} ${reason.toString("hex")}`);
    },
  };
  let reader: FrameReader | undefined;
  try {
    for (const chunk of chunks) {
      if (isDone) break;
      reader ??= new FrameReader(limits, events);
      // As a socket does: what it has read is its own.
      reader.read(Buffer.from(chunk));
      if (reader.isBetweenMessages) reader = undefined;
    }
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    log.push(`violation ${error.closeCode}`);
  }
  return log;
}

/** `ws` does not tell the types of its receiver. */
interface ReceiverOptions {
  readonly isServer: boolean;
  readonly maxPayload: number;
  readonly maxFragments: number;
}
const Receiver = Reflect.get(ws, "Receiver") as new (options: ReceiverOptions) => Writable;

async function readWithWs(chunks: readonly Buffer[]): Promise<Log> {
  const log: Log = [];
  const { maxMessageBytes: maxPayload, maxMessageFrames: maxFragments } = LIMITS;
  const receiver = new Receiver({ isServer: true, maxPayload, maxFragments });
  receiver.on("message", (data: Buffer, isBinary: boolean) => logMessage(log, data, isBinary));
  receiver.on("ping", (payload: Buffer) => log.push(`ping ${payload.toString("hex")}`));
  receiver.on("pong", () => log.push("pong"));
  receiver.on("conclude", (code: number, reason: Buffer) => {
    log.push(`goodbye ${code} ${reason.toString("hex")}`);
  });
  receiver.on("error", (error: Error) => {
    const [status] = Object.getOwnPropertySymbols(error);
    log.push(`violation ${String(status === undefined ? undefined : Reflect.get(error, status))}`);
  });
  for (const chunk of chunks) {
    if (receiver.writableEnded || receiver.destroyed || receiver.errored !== null) break;
    receiver.write(Buffer.from(chunk));
    if (receiver.writableNeedDrain) await once(receiver, "drain");
  }
  await new Promise(setImmediate);
  return log;
}

function bytesOf({ first, isMasked, payload, lengthBytes }: Frame): Buffer {
  const needed = payload.length <= 125 ? 0 : payload.length <= 65_535 ? 2 : 8;
  const form = Math.max(needed, lengthBytes);
  const length = Buffer.alloc(form);
  if (form === 2) length.writeUInt16BE(payload.length);
  if (form === 8) length.writeBigUInt64BE(BigInt(payload.length));
  const short = form === 0 ? payload.length : form === 2 ? 126 : 127;
  const mask = Buffer.from([0x11, 0xa2, 0x03, 0xf4]);
  const masked = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return Buffer.concat([
    Buffer.from([first, (isMasked ? 0x80 : 0) | short]),
    length,
    ...(isMasked ? [mask, masked] : [payload]),
  ]);
}

/** Cuts the bytes at these places, whatever they are. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = places.map((place) => place % (bytes.length + 1)).toSorted((one, other) => one - other);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const text = fc.string({ unit: "grapheme", maxLength: 30 }).map((value) => Buffer.from(value));
const anything = fc.uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value));
const goodbye = fc
  .tuple(fc.oneof(fc.integer({ min: 995, max: 1018 }), fc.nat(65_535)), fc.oneof(text, anything))
  .map(([code, reason]) => Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason]));

const frame: fc.Arbitrary<Frame> = fc.record({
  first: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a) },
    { weight: 1, arbitrary: fc.nat(255) },
    { weight: 1, arbitrary: fc.constant(0x88) },
  ),
  isMasked: fc.oneof({ weight: 30, arbitrary: fc.constant(true) }, fc.constant(false)),
  payload: fc.oneof({ weight: 4, arbitrary: text }, anything, goodbye),
  lengthBytes: fc.constantFrom(0, 0, 0, 2, 8),
});

describe("frames of a client", () => {
  it("are read as ws reads them, whatever they are and however they are cut (property)", async () => {
    let messages = 0;
    let violations = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 12, size: "max" }),
        fc.array(fc.nat(3000), { maxLength: 40 }),
        async (frames, places) => {
          const chunks = cut(Buffer.concat(frames.map(bytesOf)), places);
          const log = readWithOurs(chunks);
          expect(log).toEqual(await readWithWs(chunks));
          messages += log.filter((line) => /^(text|binary)/.test(line)).length;
          violations += log.filter((line) => line.startsWith("violation")).length;
        },
      ),
      { numRuns: 2000 },
    );
    expect(Math.min(messages, violations)).toBeGreaterThan(200);
  });

  it("of which messages are right are read as they were, byte by byte too", () => {
    const part = (first: number, payload: string): Frame => ({
      first,
      isMasked: true,
      payload: Buffer.from(payload),
      lengthBytes: 0,
    });
    const bytes = Buffer.concat(
      [
        part(0x01, "one "),
        part(0x89, "ping"),
        part(0x00, ""),
        part(0x80, "two 🦊"),
        part(0x82, "\u0000"),
        part(0x81, "x".repeat(300)),
      ].map(bytesOf),
    );
    const expected = [
      "ping 70696e67",
      `text ${Buffer.from("one two 🦊").toString("hex")}`,
      "binary 00",
      `text ${"78".repeat(300)}`,
    ];
    expect(readWithOurs([bytes])).toEqual(expected);
    expect(readWithOurs(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(expected);
  });

  it("that claim too much are refused before they come", () => {
    const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 1, 45]);
    expect(readWithOurs([head])).toEqual(["violation 1009"]);
    expect(readWithOurs([Buffer.from([0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0])])).toEqual(["violation 1009"]);
  });
});

describe("compressed messages", () => {
  const compressed: Frame = {
    first: 0x40 | 0x80 | OPCODES.text,
    isMasked: true,
    payload: Buffer.from("abc"),
    lengthBytes: 0,
  };

  it("are refused where none were agreed on", () => {
    expect(readWithOurs([bytesOf(compressed)])).toEqual(["violation 1002"]);
  });

  it("are made readable whole, once; what is wrong with them ends the reading", () => {
    const inflated: string[] = [];
    const inflate = (payload: Buffer): Buffer => {
      inflated.push(payload.toString());
      if (payload.includes("!")) throw new FrameError(1009);
      return Buffer.from(`<${payload.toString()}>`);
    };
    const parts = [
      { ...compressed, first: 0x40 | OPCODES.text },
      { ...compressed, first: 0x80, payload: Buffer.from("def") },
    ];
    const plain = { ...compressed, first: 0x80 | OPCODES.text };
    const bomb = { ...compressed, payload: Buffer.from("!") };
    const bytes = Buffer.concat([compressed, ...parts, plain, bomb, plain].map(bytesOf));
    const hex = (value: string): string => `text ${Buffer.from(value).toString("hex")}`;
    expect(readWithOurs([bytes], { ...LIMITS, inflate })).toEqual([
      hex("<abc>"),
      hex("<abcdef>"),
      hex("abc"),
      "violation 1009",
    ]);
    expect(inflated).toEqual(["abc", "abcdef", "!"]);
  });

  it.each([300, 1])("of which many come at once are not all made readable: each of %i bytes", (bytes) => {
    let inflated = 0;
    const inflate = (): Buffer => {
      inflated += 1;
      return Buffer.alloc(bytes, "x");
    };
    const packet = Buffer.concat(Array.from({ length: 5000 }, () => bytesOf(compressed)));
    const log = readWithOurs([packet], { ...LIMITS, inflate });
    expect(log.at(-1)).toBe("violation 1009");
    expect(inflated).toBeLessThan(20);
    // One packet after the other, each has its own.
    inflated = 0;
    const packets = Array.from({ length: 100 }, () => bytesOf(compressed));
    expect(readWithOurs(packets, { ...LIMITS, inflate })).toHaveLength(100);
  });

  it("say so in their first frame only", () => {
    const again = { ...compressed, first: 0x40 | 0x80 };
    const begun = { ...compressed, first: 0x40 | OPCODES.text };
    const inflate = (payload: Buffer): Buffer => payload;
    expect(readWithOurs([Buffer.concat([begun, again].map(bytesOf))], { ...LIMITS, inflate })).toEqual([
      "violation 1002",
    ]);
  });

  it("are not made readable for nobody: a client that is told to go may go on sending", () => {
    const never = (): never => {
      throw new Error("It was inflated.");
    };
    const log: Log = [];
    const events: FrameEvents = {
      wantsMessages: false,
      message: never,
      pinged: (payload) => log.push(`ping ${payload.toString()}`),
      ponged: never,
      saidGoodbye: (code) => log.push(`goodbye ${code}`),
    };
    const frames = [
      compressed,
      { ...compressed, first: 0x40 | OPCODES.text },
      { ...compressed, first: 0x80 },
      { ...compressed, first: 0x80 | OPCODES.ping, payload: Buffer.from("p") },
      { ...compressed, first: 0x80 | OPCODES.close, payload: Buffer.from([0x03, 0xe8]) },
    ];
    new FrameReader({ ...LIMITS, inflate: never }, events).read(Buffer.concat(frames.map(bytesOf)));
    expect(log).toEqual(["ping p", "goodbye 1000"]);
  });
});
