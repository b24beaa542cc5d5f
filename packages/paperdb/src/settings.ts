import type { BackoffLimits } from "./backoff.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { ClientOptions } from "./types.ts";

/** A client's options, checked, with their defaults. */
export interface Settings extends ClientOptions {
  /** With `ws:` or `wss:`. Both addresses are without a query, and without a slash at the end. */
  readonly realtimeUrl: string;
  readonly fetch: typeof globalThis.fetch;
  readonly backoff: BackoffLimits;
  readonly heartbeatTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly lingerMs: number;
}

/** Checks the options. */
export function resolveSettings(options: ClientOptions): Settings {
  const {
    apiKey,
    baseUrl,
    realtimeUrl = baseUrl,
    fetch = globalThis.fetch,
    backoff: { minMs = 250, maxMs = 30_000 } = {},
    heartbeatTimeoutMs = 45_000,
    connectTimeoutMs = 15_000,
    lingerMs = 1_000,
  } = options;
  if ((apiKey === undefined) === (options.getToken === undefined)) {
    throw invalid("Give either apiKey (on a server) or getToken.");
  }
  if (apiKey !== undefined && typeof document === "object") {
    throw invalid("apiKey must not be in a browser: give getToken, for tokens of generateToken.");
  }
  return {
    ...options,
    baseUrl: cleanUrl("baseUrl", baseUrl),
    realtimeUrl: cleanUrl("realtimeUrl", realtimeUrl).replace(/^http/, "ws"),
    fetch,
    backoff: { minMs, maxMs },
    heartbeatTimeoutMs,
    connectTimeoutMs,
    lingerMs,
  };
}

/** Without query, fragment and slashes at the end. */
function cleanUrl(name: string, text: string): string {
  const [, url] = /^((http|ws)s?:\/\/[^?#\s]+?)\/*([?#].*)?$/.exec(text) ?? [];
  if (url === undefined) throw invalid(`${name} is not a URL such as https://api.example.com.`);
  return url;
}

function invalid(sentence: string): PaperDBError {
  return new PaperDBError("invalid_options", sentence);
}
