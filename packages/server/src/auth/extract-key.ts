import type { IncomingHttpHeaders } from "node:http";
import { RealtimeError } from "@paperdb/protocol";
import { looksLikeSecretKey } from "./key-text.ts";

/** Where a request can carry its key. */
export interface KeyCarrier {
  readonly headers: IncomingHttpHeaders;
  /** The query's `apikey`, undecided: it may be repeated, or anything. */
  readonly queryKey?: unknown;
  /** Whether the query may carry an anon key: only where the client cannot set headers. */
  readonly allowQuery: boolean;
}

const HOW_TO_SEND = 'send the header "apikey: flc_…", or "Authorization: Bearer flc_…"';
const BEARER = /^bearer +(\S+) *$/i;

/**
 * The key of a request: the `apikey` header, else the bearer, else the query. A
 * header wins, so that a proxy can replace what a page sends.
 *
 * @throws {RealtimeError} `unauthorized`, `secret_key_in_query`, or `invalid_request` when the query has several.
 */
export function extractKey({ headers, queryKey, allowQuery }: KeyCarrier): string {
  const fromHeader = readApikeyHeader(headers) ?? readBearer(headers);
  if (fromHeader !== undefined) return fromHeader;
  if (queryKey === undefined) throw noKey(headers, allowQuery);
  if (!allowQuery) {
    throw new RealtimeError("unauthorized", `This address takes no key in the query: ${HOW_TO_SEND}.`);
  }
  if (typeof queryKey !== "string") {
    throw new RealtimeError("invalid_request", '"apikey" is in the query more than once: give it once.');
  }
  if (queryKey === "")
    throw new RealtimeError("invalid_request", '"apikey" in the query is empty: give a key.');
  if (looksLikeSecretKey(queryKey)) {
    throw new RealtimeError(
      "secret_key_in_query",
      `URLs end up in logs and histories: revoke this secret key, and ${HOW_TO_SEND}; in a browser use an anon key.`,
    );
  }
  return queryKey;
}

/** What comes with `Authorization: Bearer`; undefined without it. */
export function readBearer(headers: IncomingHttpHeaders): string | undefined {
  return BEARER.exec(headers.authorization ?? "")?.[1];
}

function readApikeyHeader(headers: IncomingHttpHeaders): string | undefined {
  const value = headers["apikey"];
  const text = (Array.isArray(value) ? value.join(", ") : value)?.trim();
  return text === "" ? undefined : text;
}

function noKey(headers: IncomingHttpHeaders, allowQuery: boolean): RealtimeError {
  const inBrowser = allowQuery
    ? '; an EventSource, which cannot set headers, adds "apikey=flc_anon_…" to the URL'
    : "";
  const problem =
    headers.authorization === undefined ? "There is no key" : "The Authorization header has no bearer key";
  return new RealtimeError("unauthorized", `${problem}: ${HOW_TO_SEND}${inBrowser}.`);
}
