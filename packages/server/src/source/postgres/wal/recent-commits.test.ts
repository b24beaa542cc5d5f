import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Visibility } from "../snapshot/visibility.ts";
import type { Lsn } from "./lsn.ts";
import { RecentCommits } from "./recent-commits.ts";

const NEXT = 1_000;

/** A snapshot that sees all but these transactions, and those that are to come. */
function seesAllBut(running: readonly number[]): Visibility {
  const oldest = Math.min(NEXT, ...running);
  return new Visibility(`${String(oldest)}:${String(NEXT)}:${running.join()}`);
}

function setUp(): RecentCommits {
  return new RecentCommits(() => Promise.reject(new Error("Nobody asks.")));
}

describe("RecentCommits", () => {
  it("knows where the first transaction committed that a snapshot does not see", () => {
    const commits = setUp();
    for (const transaction of [5, 3, 7]) void commits.add(transaction, BigInt(transaction));
    expect(commits.expect()(seesAllBut([7]))).toBe(7n);
    expect(commits.expect()(seesAllBut([]))).toBeUndefined();
  });

  it("does not forget for one snapshot what a newer one saw that is answered first", () => {
    const commits = setUp();
    void commits.add(5, 50n);
    const older = commits.expect();
    const newer = commits.expect();
    expect(newer(seesAllBut([]))).toBeUndefined();
    expect(older(seesAllBut([5]))).toBe(50n);
  });

  it("forgets what belongs to another history", () => {
    const commits = setUp();
    void commits.add(5, 50n);
    commits.clear();
    expect(commits.expect()(seesAllBut([5]))).toBeUndefined();
  });

  it("agrees with a model, whatever is visible when, and in whatever order snapshots are answered", () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant("commit" as const) },
      { weight: 3, arbitrary: fc.nat(5).map((number) => ({ kind: "show" as const, number })) },
      { weight: 2, arbitrary: fc.constant("begin" as const) },
      { weight: 2, arbitrary: fc.nat(5).map((number) => ({ kind: "take" as const, number })) },
      { weight: 2, arbitrary: fc.nat(5).map((number) => ({ kind: "answer" as const, number })) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const commits = setUp();
        const hidden: number[] = [];
        const begun: { streamed: readonly number[]; ask: (visibility: Visibility) => Lsn | undefined }[] = [];
        const taken: { first: number | undefined; answer: () => Lsn | undefined }[] = [];
        const streamed: number[] = [];
        for (const action of steps) {
          if (action === "commit") {
            const transaction = streamed.length + 1;
            streamed.push(transaction);
            hidden.push(transaction);
            void commits.add(transaction, BigInt(transaction));
          } else if (action === "begin") {
            begun.push({ streamed: [...streamed], ask: commits.expect() });
          } else if (action.kind === "show") {
            hidden.splice(action.number, 1);
          } else if (action.kind === "take") {
            const [one] = begun.splice(action.number % Math.max(1, begun.length), 1);
            if (one === undefined) continue;
            const visibility = seesAllBut([...hidden]);
            const first = one.streamed.find((transaction) => hidden.includes(transaction));
            taken.push({ first, answer: () => one.ask(visibility) });
          } else {
            const [one] = taken.splice(action.number % Math.max(1, taken.length), 1);
            if (one === undefined) continue;
            expect(one.answer()).toBe(one.first === undefined ? undefined : BigInt(one.first));
          }
        }
      }),
    );
  });
});
