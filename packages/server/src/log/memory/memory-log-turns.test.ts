import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChangeSink, ChannelKey } from "../../source/change-source.ts";
import { MemoryLog } from "./memory-log.ts";

const CHANNELS: readonly ChannelKey[] = Array.from({ length: 100 }, (_, index) => ({
  tenant: String(index),
  collection: "notes",
}));

/** In events; without documents, as many weigh as much as a slice may. */
const SLICE = 256;
/** Weighs nothing besides what each event does. */
const NO_DOCUMENT = "";

let log: MemoryLog;
let isBehind: boolean;

function setUp(maxBytesTotal: number): ChangeSink {
  log = new MemoryLog({ maxEventsPerChannel: 1e6, maxBytesPerChannel: 1e9, maxBytesTotal, maxAgeMs: 1e6 });
  log.attach({
    get isBehind() {
      return isBehind;
    },
    advanced: () => undefined,
    ended: () => undefined,
  });
  for (const key of CHANNELS) log.open("source", key);
  return log.sinkFor("source");
}

/** Appends events, of so many channels in turn, until the log asks to wait, and waits. @returns how many there were. */
async function fillTurn(sink: ChangeSink, channels: number, document = NO_DOCUMENT): Promise<number> {
  for (let count = 1; ; count += 1) {
    const channel = CHANNELS[count % channels];
    if (channel === undefined) throw new Error("no such channel");
    const body = { type: "insert", documentId: "1", document } as const;
    const busy = sink.append([{ channel, position: "1", committedAtMs: 0, body }]);
    if (busy === undefined) continue;
    await busy;
    return count;
  }
}

beforeEach(() => {
  isBehind = false;
});

afterEach(() => {
  log.stop();
});

describe("what the log takes before its source has to wait", () => {
  it("is more of many channels than of one", async () => {
    const sink = setUp(1e9);
    await fillTurn(sink, 100);
    expect(await fillTurn(sink, 1)).toBe(SLICE);
    // Until one of them has a slice.
    expect(await fillTurn(sink, 2)).toBe(2 * SLICE - 1);
    expect(await fillTurn(sink, 100)).toBe(8 * SLICE);
  });

  it("is no more than a slice while the hub does not keep up", async () => {
    const sink = setUp(1e9);
    isBehind = true;
    await fillTurn(sink, 100);
    expect(await fillTurn(sink, 100)).toBe(SLICE);
    isBehind = false;
    await fillTurn(sink, 100);
    expect(await fillTurn(sink, 100)).toBe(8 * SLICE);
  });

  it("is bounded in bytes, and by what is kept", async () => {
    const document = " ".repeat(1_768);
    const large = setUp(1e9);
    await fillTurn(large, 100);
    expect(await fillTurn(large, 100, document)).toBe(Math.ceil(524_288 / 2_024));
    log.stop();
    const small = setUp(800_000);
    await fillTurn(small, 100);
    expect(await fillTurn(small, 100, document)).toBe(Math.ceil(100_000 / 2_024));
  });
});
