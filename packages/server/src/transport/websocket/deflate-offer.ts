import { WINDOW_BITS } from "../compression/block-compressor.ts";

const EXTENSION = "permessage-deflate";
const NO_CONTEXT = "server_no_context_takeover; client_no_context_takeover";
const MAX_WINDOW_BITS = 15;
const MIN_WINDOW_BITS = 8;

/**
 * Answers a client's `Sec-WebSocket-Extensions` (RFC 7692, section 7.1).
 *
 * Neither side refers to what it has sent before: ours, because a message is the same for all, the client's, because we keep nothing of it.
 *
 * @returns the header's value in the answer; undefined where no offer can be taken, and messages are not compressed.
 */
export function answerDeflateOffer(header: string | undefined): string | undefined {
  for (const offer of header?.split(",") ?? []) {
    const [name, ...parameters] = offer.split(";").map((part) => part.trim());
    if (name?.toLowerCase() !== EXTENSION) continue;
    const answer = answerOffer(parameters);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** An offer with a parameter that is not known, not valid, or there twice must be declined. */
function answerOffer(parameters: readonly string[]): string | undefined {
  const seen = new Set<string>();
  let answer = `${EXTENSION}; ${NO_CONTEXT}`;
  for (const parameter of parameters) {
    const [name = "", value] = parameter.split("=").map((part) => part.trim());
    if (seen.has(name) || !isValid(name, value)) return undefined;
    seen.add(name);
    if (name !== "server_max_window_bits") continue;
    if (bitsOf(value) < WINDOW_BITS) return undefined;
    answer += `; server_max_window_bits=${String(bitsOf(value))}`;
  }
  return answer;
}

function isValid(name: string, value: string | undefined): boolean {
  switch (name) {
    case "server_no_context_takeover":
    case "client_no_context_takeover":
      return value === undefined;
    case "client_max_window_bits":
      return value === undefined || !Number.isNaN(bitsOf(value));
    case "server_max_window_bits":
      return !Number.isNaN(bitsOf(value));
    default:
      return false;
  }
}

/** NaN when it is none. A value may be in quotes. */
function bitsOf(value = ""): number {
  const digits = /^(?:"(\d{1,2})"|(\d{1,2}))$/.exec(value);
  const bits = Number(digits?.[1] ?? digits?.[2] ?? Number.NaN);
  return bits >= MIN_WINDOW_BITS && bits <= MAX_WINDOW_BITS ? bits : Number.NaN;
}
