/** What filters need of a collection's changes. Once needed, it stays so. */
export interface FilterNeeds {
  /** Prior documents of updates and replaces. */
  prior: boolean;
  /** The values of hidden fields. */
  hidden: boolean;
}

/** The outermost names of hidden paths. */
export function outerNames(paths: Iterable<string>): ReadonlySet<string> {
  return new Set([...paths].map((path) => path.split(".", 1)[0] ?? path));
}
