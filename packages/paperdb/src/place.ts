/**
 * Whether a cursor stands behind a place. The server promises its own clients that the cursors of one epoch ascend as
 * text (`Position` of the protocol); for others they are opaque.
 */
export function isAfter(cursor: string, place: string | undefined): boolean {
  return place === undefined || cursor > place;
}

/** What the comparable cursors have in common. */
export function epochOf(cursor: string): string {
  return cursor.slice(0, cursor.lastIndexOf("."));
}
