/** The value below which the share `p` (0 to 1) of the samples lies (nearest rank). */
export function percentile(samples: ArrayLike<number>, p: number): number {
  if (samples.length === 0) throw new Error("There are no samples.");
  const sorted = Float64Array.from(samples).toSorted();
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil(p * sorted.length)));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle one, or the mean of the two in the middle. */
export function median(samples: ArrayLike<number>): number {
  const sorted = Float64Array.from(samples).toSorted();
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new Error("There are no samples.");
  return (upper + lower) / 2;
}

/** Medians of what was measured under a name, round after round. */
export class Rounds<Name extends string> {
  readonly #samples = new Map<Name, number[]>();

  add(name: Name, value: number): void {
    const samples = this.#samples.get(name);
    if (samples === undefined) this.#samples.set(name, [value]);
    else samples.push(value);
  }

  has(name: Name): boolean {
    return this.#samples.has(name);
  }

  median(name: Name): number {
    return median(this.#samples.get(name) ?? []);
  }

  /** The median of the rounds' own ratios, so that what slows a whole round down cancels out. */
  ratio(name: Name, base: Name): number {
    const bases = this.#samples.get(base) ?? [];
    const samples = this.#samples.get(name) ?? [];
    return median(samples.map((value, round) => value / (bases[round] ?? Number.NaN)));
  }
}
