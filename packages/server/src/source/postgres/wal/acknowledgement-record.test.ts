import { pino } from "pino";
import { expect, it } from "vitest";
import { AcknowledgementRecord } from "./acknowledgement-record.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import type { Lsn } from "./lsn.ts";

/** A window of no time at all: what is processed is due at once. */
const LIMITS = { maxHistoryAgeMs: -1, maxHistoryLogBytes: 1_000_000 };

function setUp(recordConfirmedAtMost: (lsn: Lsn) => Promise<void>) {
  const acknowledgement = new Acknowledgement(LIMITS, () => 0);
  acknowledgement.begin(10n);
  const log = pino({ level: "silent" });
  const record = new AcknowledgementRecord(acknowledgement, { recordConfirmedAtMost }, log, 10n);
  return {
    processed: (lsn: Lsn) => record.processed(lsn, 0),
    due: () => record.due(0n),
  };
}

const turn = () =>
  new Promise<void>((resolve) => {
    setImmediate(resolve);
  });

it("tells nothing that was not recorded before", async () => {
  const recorded: Lsn[] = [];
  const { due, processed } = setUp((lsn) => {
    recorded.push(lsn);
    return Promise.resolve();
  });
  processed(20n);
  expect(due()).toBe(10n);
  await turn();
  expect(recorded).toEqual([20n]);
  expect(due()).toBe(20n);
});

it("goes on when each record moves the log on", async () => {
  let head = 20n;
  const { due, processed } = setUp(() => {
    head += 1n;
    return Promise.resolve();
  });
  for (let round = 0; round < 5; round++) {
    processed(head);
    due();
    await turn();
  }
  expect(due()).toBe(24n);
});

it("tries again when it cannot record", async () => {
  let failures = 2;
  const { due, processed } = setUp(() => {
    failures -= 1;
    return failures >= 0 ? Promise.reject(new Error("no database")) : Promise.resolve();
  });
  processed(20n);
  for (let round = 0; round < 2; round++) {
    expect(due()).toBe(10n);
    await turn();
  }
  expect(due()).toBe(10n);
  await turn();
  expect(due()).toBe(20n);
});
