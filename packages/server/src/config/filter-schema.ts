import { z } from "zod";
import { DEFAULT_FILTER_LIMITS } from "../filter/filter-limits.ts";
import { MAX_COUNT, MEBIBYTE } from "./ranges.ts";

/** How large a filter may be. */
export const filterLimitsSchema = z
  .strictObject({
    maxBytes: z
      .int()
      .min(64)
      .max(MEBIBYTE)
      .default(DEFAULT_FILTER_LIMITS.maxBytes)
      .describe("Bytes of one filter's JSON."),
    maxTerms: z
      .int()
      .min(1)
      .max(10_000)
      .default(DEFAULT_FILTER_LIMITS.maxTerms)
      .describe("Comparisons of one filter; each value of `$in` and `$nin` is one."),
    maxDepth: z
      .int()
      .min(1)
      .max(50)
      .default(DEFAULT_FILTER_LIMITS.maxDepth)
      .describe("Levels of one filter, and names of a path."),
    maxTriedComparisons: z
      .int()
      .min(100)
      .max(MAX_COUNT)
      .default(10_000)
      .describe(
        "Comparisons that one change may take, of all filters on a tenant's collection that cannot be found by an equality.",
      ),
  })
  .prefault({})
  .describe("Filters of subscriptions, tokens and keys.");
