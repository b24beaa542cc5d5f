import type { Target } from "./subscription.ts";

/** `iat` counts whole seconds: a token may have lost up to one before it came. */
const ROUNDING_MS = 1_000;
const RENEW_AT = 0.8;

/**
 * A realtime token. It is read, not verified: that is the server's part.
 *
 * How long it lasts is counted from when it came, on the local clock: a clock
 * that is wrong does no harm. One that cannot be read is used until the server
 * refuses it.
 */
export class Token {
  declare readonly text: string;
  /** When it should be replaced. */
  readonly renewAtMs: number = Infinity;
  /** When it ends at the latest. */
  readonly endsAtMs: number = Infinity;
  readonly #grants: Readonly<Record<Target["kind"], Set<string | undefined>>>;

  /** @param asked - what it was asked to grant. */
  constructor(text: string, asked: readonly Target[], nowMs: number) {
    this.text = text;
    const { iat = NaN, exp = NaN, collections, topics } = readClaims(text);
    const lifetimeMs = 1_000 * (exp - iat);
    if (lifetimeMs > 0) {
      this.endsAtMs = nowMs + lifetimeMs;
      this.renewAtMs = nowMs + RENEW_AT * Math.max(lifetimeMs - ROUNDING_MS, lifetimeMs / 2);
    }
    this.#grants = { collection: new Set([collections].flat()), topic: new Set([topics].flat()) };
    for (const { kind, name } of asked) this.#grants[kind].add(name);
  }

  /** Whether it names this, or was asked to: then the server says that it does not grant it. */
  covers({ kind, name }: Target): boolean {
    return this.#grants[kind].has(name);
  }
}

interface Claims {
  readonly iat?: number;
  readonly exp?: number;
  readonly collections?: readonly string[];
  readonly topics?: readonly string[];
}

function readClaims(text: string): Claims {
  try {
    const payload = (text.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    // Names beyond ASCII come out garbled; then what was asked for counts.
    return Object(JSON.parse(atob(payload)));
  } catch {
    return {}; // Not ours to read.
  }
}
