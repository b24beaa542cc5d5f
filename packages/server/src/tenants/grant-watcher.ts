import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { parseGrantChange } from "../auth/grant-change.ts";
import type { GrantChange } from "../auth/grant-change.ts";
import type { KeyAuthenticator } from "../auth/key-authenticator.ts";
import type { KeyStore } from "../auth/key-store.ts";
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
  readonly liveKeyIds: () => Iterable<string>;
  readonly onRevoked: (revoked: Revoked) => void;
}

const IDS_PER_QUERY = 1000;
const RETRY_MS = 500;

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
  /** Set while live connections are checked; a change meanwhile asks for another round. */
  #checking: Promise<void> | undefined;
  #checkAgain = false;

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

  #handleChange(change: GrantChange): void {
    const { authenticator, plans, onRevoked } = this.#options;
    authenticator.forget(change);
    switch (change.kind) {
      case "key":
        onRevoked({ keyId: change.keyId });
        break;
      case "tenant":
        onRevoked({ tenant: change.tenant });
        break;
      case "plan":
        if (!hasRealtime(change.plan, plans))
          onRevoked({ tenant: change.tenant, planChangedTo: change.plan });
        break;
      case "all":
        this.#checkLiveKeys();
        break;
    }
  }

  #checkLiveKeys(): void {
    this.#checkAgain = true;
    this.#checking ??= this.#checkUntilDone().finally(() => {
      this.#checking = undefined;
    });
  }

  async #checkUntilDone(): Promise<void> {
    const { signal } = this.#closing;
    while (this.#checkAgain && !signal.aborted) {
      this.#checkAgain = false;
      try {
        await this.#checkOnce();
      } catch (error) {
        this.#checkAgain = true;
        this.#options.log.warn({ err: error }, "live keys could not be checked, will retry");
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined); // Only closing ends it early.
      }
    }
  }

  async #checkOnce(): Promise<void> {
    const { store, plans, liveKeyIds, onRevoked } = this.#options;
    const ids = [...new Set(liveKeyIds())];
    for (let start = 0; start < ids.length; start += IDS_PER_QUERY) {
      const asked = ids.slice(start, start + IDS_PER_QUERY);
      const found = new Map((await store.findByIds(asked)).map((key) => [key.id, key]));
      if (this.#closing.signal.aborted) return;
      for (const keyId of asked) {
        const key = found.get(keyId);
        if (key === undefined) onRevoked({ keyId });
        else if (!hasRealtime(key.plan, plans)) onRevoked({ tenant: key.tenant, planChangedTo: key.plan });
      }
    }
  }
}
