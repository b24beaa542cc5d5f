import { RealtimeError } from "@paperdb/protocol";
import {
  BSON,
  Double,
  Int32,
  MongoError,
  MongoNetworkError,
  MongoParseError,
  MongoServerSelectionError,
} from "mongodb";
import { TimeLimitError } from "../../timing/within.ts";

/** What a failure means for what is to be done. */
export type FailureKind =
  /** The server or its primary is away: try again from the same place. */
  | "unreachable"
  /** The user has no right to it, or not any more. */
  | "unauthorized"
  /** The oplog does not reach back to the place. */
  | "history_lost"
  /** The place cannot be found by its token: open by operation time. */
  | "not_resumable"
  /** An event will fail every time that it is read. */
  | "unreadable"
  | "failed";

/** Codes by kind; see https://www.mongodb.com/docs/manual/reference/error-codes/. */
const CODES: ReadonlyMap<number, FailureKind> = new Map([
  ...codes("unreachable", [6, 7, 24, 43, 50, 63, 89, 91, 133, 150, 175, 189, 234, 262, 290, 9001, 10107]),
  ...codes("unreachable", [11600, 11601, 11602, 13388, 13435, 13436]),
  ...codes("unauthorized", [13, 18, 8000]),
  ...codes("history_lost", [136, 286]),
  ...codes("not_resumable", [260, 280]),
  ...codes("unreadable", [10334]),
]);

/** An event that cannot be read, now or when it is read again. */
export class UnreadableEventError extends Error {
  override readonly name = "UnreadableEventError";
}

/** Sorts a failure of the driver or the server. */
export function classify(error: unknown): FailureKind {
  if (error instanceof UnreadableEventError || error instanceof BSON.BSONError) return "unreadable";
  if (error instanceof TimeLimitError) return "unreachable";
  if (!(error instanceof MongoError)) return "failed";
  const kind = CODES.get(codeOf(error) ?? Number.NaN);
  if (kind !== undefined) return kind;
  if (error instanceof MongoNetworkError || error instanceof MongoServerSelectionError) return "unreachable";
  if (error.hasErrorLabel("ResumableChangeStreamError") || error.hasErrorLabel("RetryableWriteError")) {
    return "unreachable";
  }
  return "failed";
}

/** An error's code: a stream's is BSON as all that it reads, see `promoteValues`. */
export function codeOf(error: unknown): number | undefined {
  if (!(error instanceof MongoError)) return undefined;
  const code: unknown = error.code;
  if (code instanceof Int32 || code instanceof Double) return code.value;
  return typeof code === "number" ? code : undefined;
}

/** A server that this source cannot work with: the sentence says why. */
export class UnsuitableServerError extends Error {
  override readonly name = "UnsuitableServerError";
}

/** Why a source cannot be opened, in one line, without the password that the URL may hold. */
export function openError(source: string, error: unknown): Error {
  if (error instanceof RealtimeError) return error;
  return new RealtimeError(
    "source_unavailable",
    `The source "${source}" cannot be used: ${openReason(error)}`,
    { cause: error },
  );
}

/** Whether trying again may help without anybody changing the configuration. */
export function isPassing(error: unknown): boolean {
  if (error instanceof UnsuitableServerError || error instanceof MongoParseError) return false;
  return classify(error) === "unreachable";
}

/** What is wrong, as a sentence. */
export function openReason(error: unknown): string {
  if (error instanceof UnsuitableServerError) return error.message;
  if (error instanceof MongoParseError || error instanceof TypeError) {
    return `Its url is not valid: ${oneLine(error.message)}.`;
  }
  switch (classify(error)) {
    case "unauthorized":
      return isAuthentication(error)
        ? "The user or the password in its url is wrong, or the user belongs to another authSource."
        : `The user in its url lacks a right: ${reasonOf(error)}. It needs the role readWrite or read on the database, see docs/mongodb.md.`;
    case "unreachable":
      return `The server cannot be reached (${reasonOf(error)}). Check the host and port in its url, and that it runs.`;
    case "history_lost":
    case "not_resumable":
    case "unreadable":
    case "failed":
      return `${reasonOf(error)}. Check its url.`;
  }
}

/** One line, without a full stop. */
export function reasonOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

const AUTHENTICATION_FAILED: ReadonlySet<number> = new Set([18, 8000]);

function isAuthentication(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && AUTHENTICATION_FAILED.has(code);
}

function oneLine(message: string): string {
  return message.replace(/\s+/gu, " ").replace(/\.$/u, "");
}

function codes(kind: FailureKind, list: readonly number[]): readonly (readonly [number, FailureKind])[] {
  return list.map((code) => [code, kind]);
}
