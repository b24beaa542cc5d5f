import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isStreamPosition, StreamPlace } from "./stream-place.ts";

/** One transaction: how many changes it has. */
const transactions = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 });

/** Streams transactions from the n-th on, up to a number of changes. @returns the positions of what was new. */
function stream(place: StreamPlace, sizes: readonly number[], from: number, changes: number): string[] {
  const positions: string[] = [];
  let left = changes;
  for (const [index, size] of sizes.entries()) {
    if (index < from) continue;
    place.begin(BigInt(index * 100 + 10));
    for (let change = 0; change < size; change++) {
      if (left === 0) return positions;
      left -= 1;
      if (place.next()) positions.push(place.changePosition, place.secondPosition);
    }
    place.commit(BigInt(index * 100 + 60));
  }
  return positions;
}

describe("the place of a stream", () => {
  it("gives a stream that is cut off anywhere, and begins again anywhere before, the same positions once (property)", () => {
    fc.assert(
      fc.property(
        transactions,
        fc.array(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 8 })), { maxLength: 4 }),
        (sizes, cuts) => {
          const whole = new StreamPlace();
          whole.restart(1);
          const expected = stream(whole, sizes, 0, Infinity);
          const place = new StreamPlace();
          place.restart(1);
          const seen: string[] = [];
          for (const [changes, back] of cuts) {
            const committed = Number((place.processedLsn + 40n) / 100n);
            seen.push(...stream(place, sizes, Math.max(0, committed - back), changes));
            place.interrupt();
          }
          const committed = Number((place.processedLsn + 40n) / 100n);
          seen.push(...stream(place, sizes, committed, Infinity));
          expect(seen).toEqual(expected);
          expect(seen).toEqual(seen.toSorted());
          expect(new Set(seen).size).toBe(seen.length);
        },
      ),
    );
  });

  it("stands above what was seen and below what comes", () => {
    const place = new StreamPlace();
    place.restart(1);
    place.advance(5n);
    const start = place.position;
    place.begin(5n);
    place.next();
    const [first, second, after] = [place.changePosition, place.secondPosition, place.position];
    place.next();
    const next = place.changePosition;
    place.commit(9n);
    const end = place.position;
    place.advance(7n);
    expect(place.position).toBe(end);
    const all = [start, first, second, after, next, end];
    expect(all).toEqual(all.toSorted());
    expect(new Set(all).size).toBe(all.length);
    for (const position of all) expect(position).toSatisfy(isStreamPosition);
  });

  it("is not moved by a keepalive within a transaction", () => {
    const place = new StreamPlace();
    place.restart(1);
    place.begin(100n);
    place.next();
    place.advance(200n);
    expect(place.processedLsn).toBe(0n);
    expect(place.next()).toBe(true);
  });

  it("of a new generation is above all of before, whatever the LSNs", () => {
    const place = new StreamPlace();
    place.restart(35);
    place.advance(2n ** 63n);
    const before = place.position;
    place.restart(36);
    expect(place.position > before).toBe(true);
    expect(place.processedLsn).toBe(0n);
  });

  it("counts nothing outside of transactions", () => {
    const place = new StreamPlace();
    expect(place.next()).toBe(false);
  });

  it("is told from texts that are no positions, which would compare with them", () => {
    const place = new StreamPlace();
    place.restart(36 ** 4 - 1);
    place.advance(2n ** 64n - 1n);
    expect(isStreamPosition(place.position)).toBe(true);
    expect(isStreamPosition(place.positionBefore(0n))).toBe(true);
    const position = place.position;
    const wrong = ["", "0", "~", position.slice(1), `${position}0`, `${position}\n`, position.toUpperCase()];
    for (const text of [...wrong, "z".repeat(position.length)]) expect(isStreamPosition(text)).toBe(false);
  });
});
