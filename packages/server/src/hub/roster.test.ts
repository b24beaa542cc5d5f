import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Roster } from "./roster.ts";
import type { Subscription } from "./subscription.ts";

/** All that a roster needs of one. */
function member(): Subscription {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- A roster sets and reads nothing else.
  return { seat: -1 } as Subscription;
}

describe("Roster", () => {
  it("lets whoever goes through it backwards meet each that flows from the start to the end (property)", () => {
    const change = fc.record({
      kind: fc.constantFrom("add" as const, "delete" as const, "hold" as const, "release" as const),
      which: fc.nat(),
      /** Visits before it. */
      visits: fc.nat(3),
    });
    let met = 0;
    fc.assert(
      fc.property(fc.nat(12), fc.nat(12), fc.array(change, { maxLength: 20 }), (flowing, held, changes) => {
        const roster = new Roster<Subscription>();
        const all = new Set<Subscription>();
        for (let n = 0; n < flowing + held; n += 1) {
          const added = member();
          roster.add(added);
          if (n < flowing) roster.release(added);
          all.add(added);
        }
        const expected = new Set([...all].filter((each) => roster.isFlowing(each)));
        const visited = new Set<Subscription>();
        let seat = roster.flowing;
        const visit = (): void => {
          seat = Math.min(seat, roster.flowing) - 1;
          const next = roster.members[seat];
          if (next === undefined) return;
          expect(roster.isFlowing(next)).toBe(true);
          visited.add(next);
        };
        for (const { kind, which, visits } of changes) {
          for (let n = 0; n < visits; n += 1) visit();
          const chosen = roster.members[which % Math.max(1, roster.size)];
          if (kind === "add") {
            const added = member();
            roster.add(added);
            all.add(added);
          } else if (chosen !== undefined && kind === "delete") {
            roster.delete(chosen);
            all.delete(chosen);
            expected.delete(chosen);
          } else if (chosen !== undefined && kind === "hold") {
            roster.hold(chosen);
            expected.delete(chosen);
          } else if (chosen !== undefined) {
            roster.release(chosen);
          }
          expect(new Set(roster.members)).toEqual(all);
          expect(roster.size).toBe(all.size);
          for (const [place, each] of roster.members.entries()) {
            expect(each.seat).toBe(place);
            expect(roster.isFlowing(each)).toBe(place < roster.flowing);
          }
        }
        for (let left = seat; left > 0; left = seat) visit();
        for (const each of expected) expect(visited.has(each)).toBe(true);
        met += expected.size;
      }),
    );
    expect(met).toBeGreaterThan(0);
  });

  it("has nothing to do with one that has left", () => {
    const roster = new Roster<Subscription>();
    const [one, other] = [member(), member()];
    roster.add(one);
    roster.release(one);
    roster.delete(one);
    roster.add(other);
    roster.release(other);
    roster.hold(one);
    roster.release(one);
    roster.delete(one);
    expect([roster.isFlowing(one), roster.isFlowing(other)]).toEqual([false, true]);
    expect(roster.members).toEqual([other]);
  });
});
