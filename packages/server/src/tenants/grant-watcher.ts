import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Grant } from "../auth/grant.ts";
import { areSameFilters, NO_FILTERS, readGrantFilters, type GrantFilters } from "../auth/grant-filters.ts";
import { parseGrantChange } from "../auth/grant-change.ts";
import type { GrantChange } from "../auth/grant-change.ts";
import type { KeyAuthenticator } from "../auth/key-authenticator.ts";
import type { KeyStore, StoredKey } from "../auth/key-store.ts";
import { hasRealtime } from "../auth/plans.ts";
import type { Plans } from "../auth/plans.ts";
import { ListenerDownError, PgListener } from "../postgres/listener.ts";
import { GRANTS_CHANNEL } from "./migrations.ts";

/** Whose live connections must end: those of a key, or of a tenant. */
export interface Revoked {
  readonly keyId?: string;
  readonly tenant?: string;
  /** Why the tenant's end: its new plan has no realtime. */
  readonly planChangedTo?: string;
}

/** What a {@link GrantWatcher} is made of. */
export interface GrantWatcherOptions {
  /** The database with tenants and keys, without a transaction pooler in between. */
  readonly url: string;
  readonly log: Logger;
  readonly store: KeyStore;
  readonly authenticator: KeyAuthenticator;
  readonly plans: Plans;
  /** Keys of all live connections; may repeat. */
  readonly liveKeys: () => Iterable<LiveKey>;
  readonly onRevoked: (revoked: Revoked) => void;
}

/** What a live connection uses of its key, or of the key that minted its token. */
export interface LiveKey extends Pick<Grant, "keyId" | "tenant"> {
  /** Collections that it is subscribed to. */
  readonly collections: readonly string[];
  /** Topics and patterns that it is subscribed to. */
  readonly topics: readonly string[];
  /** What it may still subscribe to without being checked again; absent: nothing. */
  readonly grant?: Pick<Grant, "collections" | "topics">;
  /** What the key lets be seen of collections, as it was; absent: all. */
  readonly keyFilters?: GrantFilters;
  /** Whether the key has minted the token that it came with. */
  readonly byToken?: boolean;
}

const IDS_PER_QUERY = 1000;
const RETRY_MS = 500;
/** More than these are one check of everything. */
const MAX_UNCHECKED = 1000;

/**
 * Brings every change of tenants and keys, whichever process makes it, to the
 * authenticator and to the live connections. After an outage, in which changes
 * are missed, all of both are checked again.
 */
export class GrantWatcher {
  readonly #options: GrantWatcherOptions;
  readonly #listener: PgListener;
  readonly #closing = new AbortController();
  #listening = false;
  /** Set while live connections are checked. */
  #checking: Promise<void> | undefined;
  /** Changes whose live connections are still to be checked. */
  #unchecked: GrantChange[] = [];

  constructor(options: GrantWatcherOptions) {
    this.#options = options;
    this.#listener = new PgListener({
      url: options.url,
      applicationName: "paperdb-realtime grants",
      log: options.log,
      onNotification: (_channel, payload) => {
        this.#handleChange(parseGrantChange(payload));
      },
      onUp: () => {
        if (this.#listening) this.#handleUp();
      },
      onDown: (reason) => {
        options.authenticator.setAnnounced(false);
        options.log.warn(
          { reason },
          "changes of keys are not announced at the moment; each key is looked up",
        );
      },
    });
  }

  /** Resolves once changes are announced. Rejects when the database cannot be reached; later outages are handled inside. */
  async open(): Promise<void> {
    await this.#listener.open();
    this.#listening = true;
    try {
      await this.#listener.listen([GRANTS_CHANNEL]);
      this.#handleUp();
    } catch (error) {
      // Lost right away: the listener is reconnecting, and calls `onUp`.
      if (!(error instanceof ListenerDownError)) throw error;
    }
  }

  /** Nothing is called any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#listener.close();
    await this.#checking;
  }

  #handleUp(): void {
    this.#options.authenticator.setAnnounced(true);
    this.#handleChange({ kind: "all" });
  }

  /** An announcement alone ends nothing: any database role can notify, so the store has the last word. */
  #handleChange(change: GrantChange): void {
    this.#options.authenticator.forget(change);
    if (this.#unchecked.length >= MAX_UNCHECKED) this.#unchecked = [{ kind: "all" }];
    else this.#unchecked.push(change);
    this.#checking ??= this.#checkUntilDone();
  }

  async #checkUntilDone(): Promise<void> {
    const { signal } = this.#closing;
    while (this.#unchecked.length > 0 && !signal.aborted) {
      const changes = this.#unchecked;
      this.#unchecked = [];
      try {
        await this.#check(changes);
      } catch (error) {
        this.#unchecked.push({ kind: "all" });
        this.#options.log.warn({ err: error }, "live keys could not be checked, will retry");
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined); // Only closing ends it early.
      }
    }
    // In the turn of the last look: a change that comes after it begins anew.
    this.#checking = undefined;
  }

  async #check(changes: readonly GrantChange[]): Promise<void> {
    const { store, plans, liveKeys, onRevoked } = this.#options;
    const concerned = new Map<string, LiveKey[]>();
    const isConcerned = concernedBy(changes);
    for (const live of liveKeys()) {
      if (!isConcerned(live)) continue;
      const others = concerned.get(live.keyId);
      if (others === undefined) concerned.set(live.keyId, [live]);
      else others.push(live);
    }
    const ids = [...concerned.keys()];
    for (let start = 0; start < ids.length; start += IDS_PER_QUERY) {
      const asked = ids.slice(start, start + IDS_PER_QUERY);
      const found = new Map((await store.findByIds(asked)).map((key) => [key.id, key]));
      if (this.#closing.signal.aborted) return;
      for (const keyId of asked) {
        const key = found.get(keyId);
        if (key !== undefined && !hasRealtime(key.plan, plans)) {
          onRevoked({ tenant: key.tenant, planChangedTo: key.plan });
        } else if (
          key === undefined ||
          !(concerned.get(keyId) ?? []).every((live) => stillGrants(key, live))
        ) {
          onRevoked({ keyId });
        }
      }
    }
  }
}

function stillGrants(key: StoredKey, live: LiveKey): boolean {
  if (key.tenant !== live.tenant || (live.byToken === true && key.role !== "secret")) return false;
  const filters = readGrantFilters(key.where);
  if (filters === undefined || !areSameFilters(filters, live.keyFilters ?? NO_FILTERS)) return false;
  const granted = key.collections;
  if (granted === null) return true;
  const { collections, topics } = live.grant ?? {};
  if (live.grant !== undefined && (collections === undefined || topics === undefined)) return false;
  const named = [...live.collections, ...(collections ?? [])];
  return live.topics.length + (topics ?? []).length === 0 && named.every((name) => granted.includes(name));
}

/** One look-up for each live key, however many changes there are. */
function concernedBy(changes: readonly GrantChange[]): (live: LiveKey) => boolean {
  const keyIds = new Set<string>();
  const tenants = new Set<string>();
  for (const change of changes) {
    if (change.kind === "all") return () => true;
    if (change.kind === "key") keyIds.add(change.keyId);
    else tenants.add(change.tenant);
  }
  return ({ keyId, tenant }) => keyIds.has(keyId) || tenants.has(tenant);
}
