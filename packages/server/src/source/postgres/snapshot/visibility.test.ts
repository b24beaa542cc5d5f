import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Visibility } from "./visibility.ts";

describe("Visibility", () => {
  it("sees what had ended, and not what ran or came later", () => {
    const visibility = new Visibility("740:748:740,743,747");
    const seen = [739, 740, 741, 742, 743, 744, 746, 747, 748, 749].filter((number) =>
      visibility.sees(number),
    );
    expect(seen).toEqual([739, 741, 742, 744, 746]);
  });

  it("reads a snapshot without running transactions", () => {
    const visibility = new Visibility("748:748:");
    expect(visibility.sees(747)).toBe(true);
    expect(visibility.sees(748)).toBe(false);
  });

  it("agrees with whole numbers where it is given halves, in every epoch", () => {
    const offsets = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { maxLength: 20 });
    fc.assert(
      fc.property(
        fc.bigInt({ min: 2n ** 31n, max: 2n ** 63n }),
        offsets,
        fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
        (next, distances, asked) => {
          const running = distances.map((distance) => next - BigInt(distance));
          const oldest = running.reduce((least, number) => (number < least ? number : least), next);
          const visibility = new Visibility(`${oldest}:${next}:${running.join()}`);
          const number = next + BigInt(asked);
          const expected = number < next && !running.includes(number);
          expect(visibility.sees(Number(number & 0xffff_ffffn))).toBe(expected);
          if (number < 2n ** 53n) expect(visibility.sees(Number(number))).toBe(expected);
        },
      ),
    );
  });

  it.each(["", "1:2", "1:2:3,", "a:2:", "1:2:x"])("refuses %j", (text) => {
    expect(() => new Visibility(text)).toThrow("a snapshot that is none");
  });
});
