import type { FilterTerm } from "./delivery.ts";

/** The same for terms that look at the same place of the same documents. */
export function termName({ path, withHidden }: FilterTerm): string {
  // The one name of most paths is not copied, for this is called for each event.
  const name = path.length === 1 ? (path[0] ?? "") : path.join(".");
  // No path begins with an empty name.
  return withHidden === true ? `.${name}` : name;
}
