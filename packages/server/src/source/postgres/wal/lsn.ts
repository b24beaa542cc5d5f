/** A place in the write-ahead log, as PostgreSQL counts it: in bytes. */
export type Lsn = bigint;

/** Before everything: a stream that starts here goes on where its slot stands. */
export const NO_LSN: Lsn = 0n;

const SHOWN = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/** Reads `16/B374D848`. */
export function parseLsn(text: string): Lsn {
  const match = SHOWN.exec(text);
  if (match === null) throw new Error("The database sent an LSN that is none.");
  const [, high = "0", low = "0"] = match;
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Writes `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}
