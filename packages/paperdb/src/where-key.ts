/**
 * The same text for filters that mean the same, as far as a glance tells: neither the order of members nor `$eq` makes a
 * difference.
 */
export function whereKey(where: unknown): string {
  return JSON.stringify(where ?? {}, normalize);
}

function normalize(_name: string, value: unknown): unknown {
  if (Object(value) !== value || Array.isArray(value)) return value;
  const members = Object.entries(Object(value)).toSorted(([left], [right]) => (left < right ? -1 : 1));
  const [[name, operand] = []] = members;
  return name === "$eq" && members.length === 1 ? normalize(name, operand) : Object.fromEntries(members);
}
