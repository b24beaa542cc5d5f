/** How long to wait between attempts. */
export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * The wait before the next attempt: any time up to a limit that doubles, so
 * that clients which lost the same server do not come back in step.
 *
 * @param failures - attempts that have failed in a row, from 1.
 */
export function backoffMs(failures: number, { minMs, maxMs }: BackoffLimits, random: number): number {
  return random * Math.min(maxMs, minMs * 2 ** (failures - 1));
}
