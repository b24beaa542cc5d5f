import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Acknowledgement } from "./acknowledgement.ts";

const LIMITS = { maxHistoryAgeMs: 12_800, maxHistoryLogBytes: 1_000_000 };

function setUp(limits: Partial<typeof LIMITS> = {}) {
  let nowMs = 1_000_000;
  const acknowledgement = new Acknowledgement({ ...LIMITS, ...limits }, () => nowMs);
  acknowledgement.begin(100n);
  return {
    acknowledgement,
    pass: (ms: number): void => {
      nowMs += ms;
    },
    processed: (lsn: bigint) => acknowledgement.processed(lsn, nowMs),
    due: (historyLsn = 0n) => acknowledgement.due(historyLsn),
  };
}

describe("what the database may forget", () => {
  it("is one window back in time, also when nothing more comes", () => {
    const { due, pass, processed } = setUp();
    processed(200n);
    pass(50);
    processed(300n);
    expect(due()).toBe(100n);
    pass(LIMITS.maxHistoryAgeMs - 25);
    expect(due()).toBe(200n);
    pass(50);
    expect(due()).toBe(300n);
  });

  it("is no more than the window's bytes of the log behind, within a part of the window", () => {
    const { acknowledgement, due, processed } = setUp();
    for (let lsn = 0n; lsn <= 5_000_000n; lsn += 1_000n) processed(lsn);
    expect(Number(5_000_000n - due())).toBeGreaterThan(900_000);
    expect(Number(5_000_000n - due())).toBeLessThanOrEqual(1_010_000);
    acknowledgement.limitLogBytes(100_000);
    expect(Number(5_000_000n - due())).toBeLessThanOrEqual(110_000);
  });

  it("follows the history in memory", () => {
    const { due, pass, processed } = setUp();
    for (let lsn = 200n; lsn <= 1_000n; lsn += 100n) {
      pass(1_000);
      processed(lsn);
    }
    expect(due(550n)).toBe(550n);
    // Of a transaction that is still coming.
    expect(due(5_000n)).toBe(1_000n);
  });

  it("begins anew with another slot, and otherwise never goes back (property)", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(400_000), fc.nat(3_000), fc.nat(3_000_000)), { maxLength: 100 }),
        (steps) => {
          const { acknowledgement, due, pass, processed } = setUp();
          let head = 100n;
          let last = 100n;
          for (const [bytes, ms, history] of steps) {
            head += BigInt(bytes);
            pass(ms);
            processed(head);
            const next = due(BigInt(history));
            expect(next >= last && next <= head).toBe(true);
            last = next;
          }
          acknowledgement.restart();
          acknowledgement.begin(7n);
          expect(due()).toBe(7n);
        },
      ),
    );
  });
});
