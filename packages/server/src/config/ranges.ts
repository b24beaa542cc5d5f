import { z } from "zod";

/** Bytes. */
export const MEBIBYTE = 1024 * 1024;
const DAY_MS = 86_400_000;
/** More than anything is counted to. */
export const MAX_COUNT = 100_000_000;
const MAX_BYTES = 64 * 1024 * MEBIBYTE;

/** A number of things. */
export const count = (fallback: number, minimum = 1): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(MAX_COUNT).default(fallback);
/** A number of bytes. */
export const bytes = (fallback: number, minimum = 1024): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(MAX_BYTES).default(fallback);
/** A time of a day at most. */
export const milliseconds = (fallback: number, minimum = 1): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(DAY_MS).default(fallback);
