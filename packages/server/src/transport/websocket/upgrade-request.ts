import type { IncomingMessage } from "node:http";
import { RealtimeError, SUBPROTOCOL } from "@paperdb/protocol";
import { extractCredential, readBearer } from "../../auth/credential.ts";
import { isKeyText } from "../../auth/key-text.ts";

/** What a client asks for when it opens a WebSocket. */
export interface UpgradeRequest {
  /** Whether it speaks `paperdb.v1`; if not, it is a raw one. */
  readonly speaksV1: boolean;
  readonly token: string;
  /** Its `Sec-WebSocket-Key`. */
  readonly key: string;
}

const PATHS: ReadonlySet<string> = new Set(["/", "/realtime"]);
const VERSION = "13";
const KEY = /^[+/0-9A-Za-z]{22}==$/;
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
const TOKEN_ADVICE = "mint a realtime token with POST /realtime/token, in your backend";

/**
 * Reads the request of a handshake (RFC 6455, section 4.2.1).
 *
 * @param origins - whose pages may connect; `*` is every origin.
 * @throws {RealtimeError} naming what is wrong.
 */
export function readUpgradeRequest(request: IncomingMessage, origins: readonly string[]): UpgradeRequest {
  const { headers, method, url = "" } = request;
  const [path = "", query = ""] = splitOnce(url, "?");
  if (!PATHS.has(path)) {
    throw new RealtimeError(
      "not_found",
      'There is no WebSocket on this path: connect to "/" or "/realtime".',
    );
  }
  if (method !== "GET") throw upgradeRequired();
  if (headers["sec-websocket-version"] !== VERSION) {
    throw new RealtimeError("upgrade_required", `"Sec-WebSocket-Version" must be ${VERSION}.`);
  }
  const key = headers["sec-websocket-key"] ?? "";
  if (!KEY.test(key)) {
    throw new RealtimeError("invalid_request", '"Sec-WebSocket-Key" is missing or not valid.');
  }
  const speaksV1 = readSubprotocols(headers["sec-websocket-protocol"]);
  requireOrigin(headers.origin, origins);
  return { speaksV1, token: readToken(request, new URLSearchParams(query)), key };
}

/** What somebody is told who wants a page where there is a WebSocket. */
export function upgradeRequired(): RealtimeError {
  return new RealtimeError(
    "upgrade_required",
    'This address serves WebSockets: connect with a WebSocket client, and a realtime token in "?token=".',
  );
}

function readSubprotocols(header: string | undefined): boolean {
  if (header === undefined) return false;
  const offered = header.split(",").map((name) => name.trim());
  const isList = offered.every((name, index) => TOKEN.test(name) && offered.indexOf(name) === index);
  if (!isList) {
    throw new RealtimeError(
      "invalid_request",
      '"Sec-WebSocket-Protocol" is no list of different subprotocols, with commas between them.',
    );
  }
  if (offered.includes(SUBPROTOCOL)) return true;
  throw new RealtimeError(
    "invalid_request",
    `"Sec-WebSocket-Protocol" names no subprotocol of this server: offer "${SUBPROTOCOL}", or none for plain events.`,
  );
}

/** Only browsers send an origin; other clients have none to check. */
function requireOrigin(origin: string | undefined, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return;
  throw new RealtimeError(
    "origin_not_allowed",
    'Pages of this origin may not connect: add it to "cors.origins".',
  );
}

function readToken({ headers }: IncomingMessage, query: URLSearchParams): string {
  const queryKey = parameterOf(query, "apikey");
  const queryToken = parameterOf(query, "token");
  const carried = [queryKey, queryToken, headers["apikey"], readBearer(headers)];
  if (carried.every((value) => value === undefined)) {
    throw new RealtimeError(
      "unauthorized",
      `There is no token: ${TOKEN_ADVICE}, and send it as "?token=" or "Authorization: Bearer".`,
    );
  }
  const { kind, text } = extractCredential({ headers, queryKey, queryToken, allowQuery: true });
  // A bearer that is neither key nor token is checked, and called, as a token.
  const isToken = kind === "token" || text === readBearer(headers);
  if (isToken && !isKeyText(text)) return text;
  throw new RealtimeError("unauthorized", `A WebSocket takes a token, not a key: ${TOKEN_ADVICE}.`);
}

function parameterOf(query: URLSearchParams, name: string): string | readonly string[] | undefined {
  const values = query.getAll(name);
  return values.length > 1 ? values : values[0];
}

function splitOnce(text: string, separator: string): readonly string[] {
  const index = text.indexOf(separator);
  return index === -1 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}
