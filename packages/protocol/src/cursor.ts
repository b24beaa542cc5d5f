/** A place in one source's order. Positions of a source ascend as text (`<`); `[0-9A-Za-z_-]+`. */
export type Position = string;

/** What a client stores to resume: a source, one epoch of its positions, and a place in it. */
export interface Cursor {
  readonly source: string;
  readonly epoch: string;
  readonly position: Position;
  /** By what its grant is known, where one showed only some documents: another one's client holds other documents. */
  readonly grant?: string;
}

const CURSOR_PATTERN =
  /^([0-9A-Za-z_-]{1,128})\.([0-9A-Za-z_-]{1,128})\.(?:([0-9A-Za-z_-]{1,64})\.)?([0-9A-Za-z_-]{1,128})$/;

/**
 * The part of a cursor that all positions of one source and epoch share, so
 * that the cursor of an event is one concatenation.
 */
export function cursorPrefix(source: string, epoch: string): string {
  return `${toBase64Url(source)}.${epoch}.`;
}

/**
 * A cursor as clients see it: URL-safe text, opaque to them. The SDK alone knows that cursors of one source, epoch
 * and grant, which differ behind their last dot only, ascend as positions do.
 */
export function formatCursor(cursor: Cursor): string {
  return cursorPrefix(cursor.source, cursor.epoch) + grantPart(cursor.grant) + cursor.position;
}

/** What stands between prefix and position of a cursor that was received under a grant. */
export function grantPart(grant: string | undefined): string {
  return grant === undefined ? "" : `${grant}.`;
}

/** Reads a cursor; undefined for whatever {@link formatCursor} cannot have made. */
export function parseCursor(text: string): Cursor | undefined {
  const match = CURSOR_PATTERN.exec(text);
  if (match === null) return undefined;
  const [, encodedSource = "", epoch = "", grant, position = ""] = match;
  const source = fromBase64Url(encodedSource);
  if (source === undefined) return undefined;
  return { source, epoch, position, ...(grant === undefined ? {} : { grant }) };
}

const SEQUENCE_DIGITS = 11;
const SEQUENCE_PATTERN = new RegExp(`^[0-9a-z]{${SEQUENCE_DIGITS}}$`);

/** The position of a counter: fixed width, so that text order is number order. */
export function sequencePosition(sequence: number): Position {
  return sequence.toString(36).padStart(SEQUENCE_DIGITS, "0");
}

/** Whether a client's text can be a {@link sequencePosition}. */
export function isSequencePosition(text: string): boolean {
  return SEQUENCE_PATTERN.test(text);
}

function toBase64Url(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function fromBase64Url(encoded: string): string | undefined {
  try {
    const binary = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return toBase64Url(text) === encoded ? text : undefined;
  } catch {
    return undefined; // Not base64, or not UTF-8: not a cursor of ours.
  }
}
