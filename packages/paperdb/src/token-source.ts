import { postJson } from "./http.ts";
import type { Settings } from "./settings.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { Target } from "./subscription.ts";
import type { TokenRequest } from "./types.ts";

/** A token, and what it could not be had for. */
export interface FetchedToken {
  /** Undefined when all was refused. */
  readonly text: string | undefined;
  readonly refused: ReadonlyMap<Target, PaperDBError>;
}

/** Answers for which one of several collections may be the reason. */
const CULPRIT_STATUSES: ReadonlySet<number | undefined> = new Set([400, 403, 404]);

/** Mints a token with the API key. */
export async function mintToken(settings: Settings, request: TokenRequest): Promise<string> {
  const { collections, topics, permissions = ["read"], filters, expiresIn, signal } = request;
  const { token } = await postJson(settings.fetch, {
    url: `${settings.baseUrl}/realtime/token`,
    apiKey: settings.apiKey,
    body: {
      collections: unlessEmpty(collections),
      topics: unlessEmpty(topics),
      permissions,
      filters,
      expiresIn,
    },
    signal,
  });
  if (typeof token !== "string") {
    throw new PaperDBError("http_error", "No token in the answer.");
  }
  return token;
}

/**
 * Fetches a token for all of these, from the server or from the application.
 *
 * @throws PaperDBError, `retryable` or not, when the whole failed.
 */
export async function fetchToken(
  settings: Settings,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<FetchedToken> {
  const { getToken } = settings;
  if (getToken === undefined) return mintForAll(settings, targets, signal);
  try {
    const text: unknown = await getToken({ ...namesOf(targets), signal });
    if (typeof text !== "string" || text === "") throw new TypeError("No token in the answer.");
    return { text, refused: new Map() };
  } catch (cause) {
    if (cause instanceof PaperDBError) throw cause;
    const { retryable = true }: Partial<PaperDBError> = Object(cause);
    throw new PaperDBError("token_failed", `getToken failed: ${String(cause)}`, { cause, retryable });
  }
}

/** One that cannot be granted must not take the others down: it is found by asking for each alone. */
async function mintForAll(
  settings: Settings,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<FetchedToken> {
  try {
    return { text: await mintToken(settings, { ...namesOf(targets), signal }), refused: new Map() };
  } catch (error) {
    if (!isAboutOne(error)) throw error;
    const refused = new Map<Target, PaperDBError>();
    if (targets.length > 1) {
      for (const target of targets) {
        for (const entry of (await mintForAll(settings, [target], signal)).refused) refused.set(...entry);
      }
    }
    // It is the only one; or each alone is granted, and one too many.
    const last = targets.at(-1);
    if (refused.size === 0 && last !== undefined) refused.set(last, error);
    const granted = targets.filter((target) => !refused.has(target));
    if (granted.length === 0) return { text: undefined, refused };
    return { text: await mintToken(settings, { ...namesOf(granted), signal }), refused };
  }
}

/** What `getToken` is told can be passed on as it is: the server takes no empty list. */
function unlessEmpty(names: readonly string[] | undefined): readonly string[] | undefined {
  return names?.length === 0 ? undefined : names;
}

function isAboutOne(error: unknown): error is PaperDBError {
  const { code, status }: Partial<PaperDBError> = Object(error);
  return code !== "plan_required" && CULPRIT_STATUSES.has(status);
}

function namesOf(targets: readonly Target[]): { collections: string[]; topics: string[] } {
  const names = (kind: Target["kind"]): string[] =>
    targets.filter((target) => target.kind === kind).map(({ name }) => name);
  return { collections: names("collection"), topics: names("topic") };
}
