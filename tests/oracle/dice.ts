import fc from "fast-check";
import { seededRandom } from "../support/seeded-random.ts";

/** Random decisions, the same for the same seed. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(spread(seed));
    // Seeds that lie near each other begin with like numbers.
    for (let skipped = 0; skipped < 8; skipped += 1) this.#random();
  }

  /** A whole number from `min` to `max`, both of them possible. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#random() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.int(0, from.length - 1)];
    if (picked === undefined) throw new Error("There is nothing to pick from.");
    return picked;
  }

  /** So many of them, each once, in any order. */
  some<T>(from: readonly T[], count: number): T[] {
    const left = [...from];
    const picked: T[] = [];
    while (picked.length < count && left.length > 0) {
      picked.push(...left.splice(this.int(0, left.length - 1), 1));
    }
    return picked;
  }

  /** A value of an arbitrary, unshrunk. */
  sample<T>(arbitrary: fc.Arbitrary<T>): T {
    return this.pick(fc.sample(arbitrary, { numRuns: 1, seed: this.int(0, 2 ** 31 - 1) }));
  }

  /** Dice of its own: what is decided with them changes nothing that is decided with these. */
  fork(): Dice {
    return new Dice(this.int(0, 2 ** 31 - 1));
  }
}

/** Mixes all bits, as the finalizer of MurmurHash3 does. */
function spread(seed: number): number {
  let mixed = seed ^ 0x9e_37_79_b9;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85_eb_ca_6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2_b2_ae_35);
  return mixed ^ (mixed >>> 16);
}
