import type { IncomingHttpHeaders } from "node:http";
import { RealtimeError } from "@paperdb/protocol";
import { looksLikeSecretKey } from "./key-text.ts";

/** Where a request can carry its key or token. */
export interface CredentialCarrier {
  readonly headers: IncomingHttpHeaders;
  /** The query's `apikey`, undecided: it may be repeated, or anything. */
  readonly queryKey?: unknown;
  /** The query's `token`, likewise. */
  readonly queryToken?: unknown;
  /** Whether the query may carry an anon key or a token: only where the client cannot set headers. */
  readonly allowQuery: boolean;
}

/** What a request proves itself with: a key, or a realtime token. */
export interface Credential {
  readonly kind: "key" | "token";
  readonly text: string;
}

const HOW_TO_SEND = 'send the header "apikey: flc_…", or "Authorization: Bearer flc_…"';
const BEARER = /^bearer +(\S+) *$/i;
/** Three parts of base64url; the last is empty when there is no signature. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/**
 * The key or token of a request: the `apikey` header, else the bearer, else the
 * query. A header wins, so that a proxy can replace what a page sends.
 *
 * @throws {RealtimeError} `unauthorized`, `secret_key_in_query`, or `invalid_request` when the query has several.
 */
export function extractCredential(carrier: CredentialCarrier): Credential {
  const { headers, queryKey, queryToken, allowQuery } = carrier;
  const key = readApikeyHeader(headers);
  if (key !== undefined) return { kind: "key", text: key };
  const bearer = readBearer(headers);
  if (bearer !== undefined) return { kind: JWT.test(bearer) ? "token" : "key", text: bearer };
  if (queryKey === undefined && queryToken === undefined) throw noCredential(headers, allowQuery);
  if (!allowQuery) {
    const what = queryKey === undefined ? "token" : "key";
    throw new RealtimeError("unauthorized", `This address takes no ${what} in the query: ${HOW_TO_SEND}.`);
  }
  if (queryToken === undefined) return { kind: "key", text: readParameter("apikey", "a key", queryKey) };
  if (queryKey !== undefined) {
    throw new RealtimeError("invalid_request", 'The query has "apikey" and "token": give one of them.');
  }
  return { kind: "token", text: readParameter("token", "a realtime token", queryToken) };
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

function readParameter(name: string, what: string, value: unknown): string {
  if (typeof value !== "string") {
    throw new RealtimeError("invalid_request", `"${name}" is in the query more than once: give it once.`);
  }
  if (value === "") {
    throw new RealtimeError("unauthorized", `"${name}" in the query is empty: give ${what}.`);
  }
  if (looksLikeSecretKey(value)) {
    throw new RealtimeError(
      "secret_key_in_query",
      `URLs end up in logs and histories: revoke this secret key, and ${HOW_TO_SEND}; in a browser use an anon key.`,
    );
  }
  return value;
}

function noCredential(headers: IncomingHttpHeaders, allowQuery: boolean): RealtimeError {
  const inBrowser = allowQuery
    ? '; an EventSource, which cannot set headers, adds "apikey=flc_anon_…" or "token=…" to the URL'
    : "";
  const problem =
    headers.authorization === undefined ? "There is no key" : "The Authorization header has no bearer key";
  return new RealtimeError("unauthorized", `${problem}: ${HOW_TO_SEND}${inBrowser}.`);
}
