/** How large a filter may be. */
export interface FilterLimits {
  /** Bytes of its JSON. */
  readonly maxBytes: number;
  /** Comparisons; each value of a list is one. */
  readonly maxTerms: number;
  /** Levels of `$and`, `$or`, `$not` and of objects and arrays that are compared with, the outermost counted; names of a path. */
  readonly maxDepth: number;
}

/** The limits of the HTTP API. */
export const DEFAULT_FILTER_LIMITS: FilterLimits = { maxBytes: 8192, maxTerms: 100, maxDepth: 8 };
