import { hash } from "node:crypto";
import type { ChangeType, Position } from "@paperdb/protocol";
import { Timestamp } from "mongodb";

/** A `clusterTime` as 16 hex digits, so that text order is time order. */
export type ClusterTime = string;

const TIME_DIGITS = 16;
const PLACE_DIGITS = 8;
const DIGEST_DIGITS = 8;
const KEY_DIGITS = TIME_DIGITS + PLACE_DIGITS;
const POSITION = new RegExp(`^[0-9a-f]{${String(KEY_DIGITS + DIGEST_DIGITS)}}$`);
const LAST_PLACE = "f".repeat(PLACE_DIGITS);
/** The server's clock is looked at more often. */
const MAX_LEAD_MS = 60_000;
const NO_DIGEST = "0".repeat(DIGEST_DIGITS);

/** Reads a BSON timestamp. */
export function clusterTimeOf(timestamp: Timestamp): ClusterTime {
  return hex(timestamp.high) + hex(timestamp.low);
}

/** The BSON timestamp of a cluster time. */
export function toTimestamp(time: ClusterTime): Timestamp {
  return new Timestamp({ t: Number.parseInt(time.slice(0, 8), 16), i: Number.parseInt(time.slice(8), 16) });
}

/** Seconds to milliseconds since 1970. */
export function clusterTimeMs(time: ClusterTime): number {
  return Number.parseInt(time.slice(0, 8), 16) * 1000;
}

/**
 * The position of an event: its cluster time, its place among the channel's events
 * of that time (those of one transaction share it), and a digest by which another
 * event at the same place is noticed.
 */
export function eventPosition(time: ClusterTime, place: number, digest: string): Position {
  return time + place.toString(16).padStart(PLACE_DIGITS, "0") + digest;
}

/** The position after all events of a cluster time. */
export function barrierPosition(time: ClusterTime): Position {
  return time + LAST_PLACE + NO_DIGEST;
}

/** A position above this one and all below it, with no event at its place. */
export function positionAbove(position: Position): Position {
  if (!isBarrier(position)) return barrierPosition(timeOf(position));
  const digest = Number.parseInt(position.slice(KEY_DIGITS), 16) + 1;
  return position.slice(0, KEY_DIGITS) + digest.toString(16).padStart(DIGEST_DIGITS, "0");
}

/** Whether a client's text can be a position of this source. */
export function isPosition(text: string): boolean {
  return POSITION.test(text);
}

/** Whether the position stands after all events of its cluster time. */
export function isBarrier(position: Position): boolean {
  return position.slice(TIME_DIGITS, KEY_DIGITS) === LAST_PLACE;
}

/** A position's cluster time. */
export function timeOf(position: Position): ClusterTime {
  return position.slice(0, TIME_DIGITS);
}

/** The last time before this one. */
export function timeBefore(time: ClusterTime): ClusterTime {
  const value = BigInt(`0x${time}`);
  return (value === 0n ? value : value - 1n).toString(16).padStart(TIME_DIGITS, "0");
}

/** A position without its digest: equal for all events that could be at its place. */
export function placeKey(position: Position): string {
  return position.slice(0, KEY_DIGITS);
}

/** Whether both name the same place, but different events. */
export function contradicts(one: Position, other: Position): boolean {
  return one !== other && placeKey(one) === placeKey(other);
}

/**
 * The digest of an event.
 *
 * @param secret - what all servers know, and no client: cursors have digests also of events that their client may not
 *   see, and must not confirm guesses.
 * @param document - undefined where it is looked up, and so differs when the event is read again.
 */
export function eventDigest(
  secret: string,
  type: ChangeType,
  documentId: string,
  document: string | undefined,
): string {
  const text = `${secret}\0${type}\0${documentId}\0${document ?? ""}`;
  return hash("sha256", text, "hex").slice(0, DIGEST_DIGITS);
}

/**
 * The time up to which a stream has been read, from its resume token: MongoDB's
 * begins with a timestamp's type and value. Undefined for any other token: tokens
 * are opaque by contract, so what is read must be plausible.
 *
 * @param notBefore - the stream was opened at this time.
 * @param known - a recent time of the server, which it has left behind by a minute at most.
 */
export function tokenTime(
  token: unknown,
  notBefore: ClusterTime,
  known: ClusterTime,
): ClusterTime | undefined {
  if (typeof token !== "object" || token === null || !("_data" in token)) return undefined;
  const { _data: data } = token;
  if (typeof data !== "string" || !/^82[0-9A-Fa-f]{16}/.test(data)) return undefined;
  const time = data.slice(2, 2 + TIME_DIGITS).toLowerCase();
  const isPlausible = time >= notBefore && clusterTimeMs(time) <= clusterTimeMs(known) + MAX_LEAD_MS;
  return isPlausible ? time : undefined;
}

function hex(half: number): string {
  return (half >>> 0).toString(16).padStart(8, "0");
}
