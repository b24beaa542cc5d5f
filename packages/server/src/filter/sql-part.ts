/** Writes a text, or a list of texts, as a value of a type. */
type WriteLiteral = (value: string | readonly string[], cast: string) => string;

/** A condition that is true for every row whose JSON matches. */
export interface SqlPart {
  /** Whether it is true for these rows only, and may therefore be negated. */
  readonly isExact: boolean;
  write(literal: WriteLiteral): string;
}

/** A condition without parameters. */
export function constantPart(sql: string): SqlPart {
  return { isExact: true, write: () => sql };
}

export const EVERY_ROW: SqlPart = constantPart("true");
export const NO_ROW: SqlPart = constantPart("false");

/** Both may be undefined for one that cannot be written: of all, the others are enough. */
export function allOf(parts: readonly (SqlPart | undefined)[]): SqlPart | undefined {
  const written = parts.filter((part) => part !== undefined && part !== EVERY_ROW);
  const isExact = parts.every((part) => part?.isExact === true);
  return joined(written, isExact, " and ", isExact ? EVERY_ROW : undefined);
}

/** Of alternatives each must be written. */
export function oneOf(parts: readonly (SqlPart | undefined)[]): SqlPart | undefined {
  const written = parts.filter((part) => part !== undefined);
  if (written.length < parts.length) return undefined;
  if (written.includes(EVERY_ROW)) return EVERY_ROW;
  const possible = written.filter((part) => part !== NO_ROW);
  return joined(
    possible,
    possible.every(({ isExact }) => isExact),
    " or ",
    NO_ROW,
  );
}

/** What is not known to be true of a row, NULL included. */
export function noneOf(part: SqlPart | undefined): SqlPart | undefined {
  if (part?.isExact !== true) return undefined;
  if (part === EVERY_ROW) return NO_ROW;
  if (part === NO_ROW) return EVERY_ROW;
  return { isExact: true, write: (literal) => `(${part.write(literal)}) is not true` };
}

function joined(
  parts: readonly (SqlPart | undefined)[],
  isExact: boolean,
  operator: string,
  none: SqlPart | undefined,
): SqlPart | undefined {
  const written = parts.filter((part) => part !== undefined);
  const [only] = written;
  if (only === undefined) return none;
  if (written.length === 1) return { isExact, write: (literal) => only.write(literal) };
  return { isExact, write: (literal) => `(${written.map((part) => part.write(literal)).join(operator)})` };
}
