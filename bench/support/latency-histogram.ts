/** Buckets per doubling: a percentile is at most 1/64 too high. */
const BUCKETS_PER_OCTAVE = 64;
const OCTAVE_BITS = 6;
const OCTAVES = 32;

/** What is told of the latencies of a run. */
export interface LatencySummary {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Latencies of any number of deliveries, in little memory and next to no time. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS_PER_OCTAVE * OCTAVES);
  #total = 0;
  #maxUs = 0;

  record(ms: number): void {
    const us = Math.min(0xffff_ffff, Math.max(0, Math.round(ms * 1000)));
    const bucket = bucketOf(us);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  /** The value that the share `p` (0 to 1) does not exceed; NaN when nothing was recorded. */
  percentileMs(p: number): number {
    if (this.#total === 0) return Number.NaN;
    let left = Math.max(1, Math.ceil(p * this.#total));
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(this.#maxUs, upperBoundOf(bucket)) / 1000;
    }
    return this.#maxUs / 1000;
  }

  summary(): LatencySummary {
    return {
      p50Ms: this.percentileMs(0.5),
      p99Ms: this.percentileMs(0.99),
      p999Ms: this.percentileMs(0.999),
      maxMs: this.#maxUs / 1000,
    };
  }
}

function bucketOf(us: number): number {
  if (us < BUCKETS_PER_OCTAVE) return us;
  const shift = 31 - Math.clz32(us) - OCTAVE_BITS;
  return (shift + 1) * BUCKETS_PER_OCTAVE + ((us >>> shift) - BUCKETS_PER_OCTAVE);
}

function upperBoundOf(bucket: number): number {
  if (bucket < BUCKETS_PER_OCTAVE) return bucket;
  const shift = Math.floor(bucket / BUCKETS_PER_OCTAVE) - 1;
  return ((bucket % BUCKETS_PER_OCTAVE) + BUCKETS_PER_OCTAVE + 1) * 2 ** shift - 1;
}
