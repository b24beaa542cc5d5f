import type { FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { extractCredential } from "./auth/credential.ts";
import type { Grant } from "./auth/grant.ts";
import { KeyAuthenticator } from "./auth/key-authenticator.ts";
import { requireRealtime } from "./auth/plans.ts";
import { RealtimeTokens } from "./auth/realtime-token.ts";
import { TokenAuthenticator } from "./auth/token-authenticator.ts";
import { hasShortSecret, parseTokenSecrets } from "./auth/token-secrets.ts";
import type { Config } from "./config/load-config.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { GrantWatcher, type LiveKey, type Revoked } from "./tenants/grant-watcher.ts";
import type { TenantStore } from "./tenants/tenant-store.ts";

/** What access is decided from. */
export interface AccessContext {
  readonly config: Config;
  readonly log: Logger;
  /** The database with tenants and keys, without a transaction pooler in between. */
  readonly url: string;
  readonly store: TenantStore;
  /** What all live connections use. */
  readonly liveKeys: () => Iterable<LiveKey>;
  readonly onRevoked: (revoked: Revoked) => void;
  /** Called with how to stop watching, before that begins. */
  readonly onClose: (close: () => Promise<void>) => void;
}

/** Who may do what. */
export interface Access {
  readonly tokens: RealtimeTokens;
  /**
   * Finds out who asks, by key or token, and that the plan has realtime. At once for a key that is remembered.
   *
   * @param allowQuery - whether an anon key or a token may be in the query.
   */
  authorize(request: FastifyRequest, allowQuery: boolean): Grant | Promise<Grant>;
  /** The same for a token alone; see {@link TokenAuthenticator.authenticateToken}. */
  authenticateToken(token: string): Promise<Grant>;
}

/** Starts to check keys and tokens, and to watch for their end. */
export async function openAccess(context: AccessContext): Promise<Access> {
  const { config, log, store, onClose, ...watched } = context;
  const { keyCacheMs, maxCachedKeys, maxKeyLookups, plans } = config;
  const keys = new KeyAuthenticator({ store, keyCacheMs, maxCachedKeys, maxLookups: maxKeyLookups });
  const tokens = await openTokens(config, log);
  const maxCachedTokens = config.tokens.maxCached;
  const tokenAuthenticator = new TokenAuthenticator({ tokens, keys, plans, maxCachedTokens });
  const watcher = new GrantWatcher({ ...watched, log, store, authenticator: keys, plans });
  onClose(() => watcher.close());
  await watcher.open();

  const admit = (grant: Grant): Grant => {
    requireRealtime(grant, plans);
    return grant;
  };
  const authenticateToken = (token: string): Promise<Grant> => tokenAuthenticator.authenticateToken(token);
  return {
    tokens,
    authenticateToken,
    authorize({ headers, query }, allowQuery) {
      const queryKey = parameterOf(query, "apikey");
      const queryToken = parameterOf(query, "token");
      const { kind, text } = extractCredential({ headers, queryKey, queryToken, allowQuery });
      if (kind === "token") return authenticateToken(text);
      const grant = keys.getOrFetchGrant(text);
      return grant instanceof Promise ? grant.then(admit) : admit(grant);
    },
  };
}

async function openTokens({ tokenSecret, dataDir, tokens }: Config, log: Logger): Promise<RealtimeTokens> {
  const secrets = parseTokenSecrets(tokenSecret ?? (await readOrCreateSecret(dataDir, "token-secret")));
  if (hasShortSecret(secrets)) {
    log.warn("a secret in PAPERDB_TOKEN_SECRET is shorter than 32 characters: make it longer and random");
  }
  return new RealtimeTokens({ secrets, maxLength: tokens.maxLength });
}

/** Before the query is validated: whether there is a key comes first. */
function parameterOf(query: unknown, name: string): unknown {
  return typeof query === "object" && query !== null ? Reflect.get(query, name) : undefined;
}
