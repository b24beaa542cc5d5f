import { RealtimeError } from "@paperdb/protocol";
import type { GrantFilters } from "../auth/grant-filters.ts";

/** What a connection uses of its key, or of the key that minted its token. */
export interface ConnectionAccess {
  readonly tenant: string;
  readonly keyId: string;
  /** Those that it is subscribed to. */
  readonly collections: readonly string[];
  /** Topics and patterns that it is subscribed to. */
  readonly topics: readonly string[];
  /** What it may still subscribe to without being checked again; absent: nothing. */
  readonly grant?: {
    readonly collections: readonly string[] | undefined;
    readonly topics: readonly string[] | undefined;
  };
  /** What its key lets be seen of collections; absent: all. */
  readonly keyFilters?: GrantFilters;
  /** Whether it came with a token that its key has minted, as only a secret key may. */
  readonly byToken?: boolean;
}

/** What is known of a connection. */
export interface ConnectionInfo extends ConnectionAccess {
  readonly id: string;
  readonly transport: "sse" | "websocket";
  readonly remoteAddress: string;
  /** ISO 8601. */
  readonly openedAt: string;
}

/** Why a connection is ended from within the server. */
export type DisconnectReason = "revoked" | "admin" | "draining";

/** A connection, and how to end it. */
export interface RegisteredConnection extends Pick<ConnectionInfo, "id" | "tenant" | "keyId"> {
  /** At the moment; made anew when it is asked for, as is {@link info}. */
  readonly access: ConnectionAccess;
  /** The same and more, which takes longer to find out. Its id and tenant never change. */
  readonly info: ConnectionInfo;
  end(reason: DisconnectReason): void;
}

/** What a client is told that comes while the server shuts down. */
export function drainingError(): RealtimeError {
  return new RealtimeError("draining", "The server is shutting down: try again.", { retryAfterSeconds: 1 });
}

/** All live connections of this server, those that are still being opened included. */
export class ConnectionRegistry {
  readonly #connections = new Set<RegisteredConnection>();
  readonly #countByTenant = new Map<string, number>();
  readonly #maxTotal: number;
  #draining = false;
  #onEmpty: (() => void) | undefined;

  /** @param maxTotal - connections of all tenants together. */
  constructor(maxTotal: number) {
    this.#maxTotal = maxTotal;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** @throws {RealtimeError} `too_many_connections`; `draining` after {@link drain}. */
  add(connection: RegisteredConnection, maxOfTenant: number): void {
    if (this.#draining) throw drainingError();
    const { tenant } = connection;
    const ofTenant = this.#countByTenant.get(tenant) ?? 0;
    if (ofTenant >= maxOfTenant || this.size >= this.#maxTotal) {
      const whose =
        ofTenant >= maxOfTenant ? `the tenant's plan allows ${maxOfTenant}` : "the server is full";
      throw new RealtimeError(
        "too_many_connections",
        `No further connection is accepted: ${whose}. Close unused ones, or raise the limit.`,
        { retryAfterSeconds: 5 },
      );
    }
    this.#connections.add(connection);
    this.#countByTenant.set(tenant, ofTenant + 1);
  }

  delete(connection: RegisteredConnection): void {
    if (!this.#connections.delete(connection)) return;
    const { tenant } = connection;
    const left = (this.#countByTenant.get(tenant) ?? 1) - 1;
    if (left === 0) this.#countByTenant.delete(tenant);
    else this.#countByTenant.set(tenant, left);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  /** Resolves once there is no connection, after {@link drain}. */
  async untilEmpty(): Promise<void> {
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  list(): readonly ConnectionInfo[] {
    return Array.from(this.#connections, ({ info }) => info);
  }

  /** What of their keys all connections use. */
  *accesses(): IterableIterator<ConnectionAccess> {
    for (const { access } of this.#connections) yield access;
  }

  /** Ends one connection; false when there is none of this id. */
  end(id: string, reason: DisconnectReason): boolean {
    for (const connection of this.#connections) {
      if (connection.id !== id) continue;
      connection.end(reason);
      return true;
    }
    return false;
  }

  /** Ends all connections; none is added any more, also of those whose key is being checked. */
  drain(): void {
    this.#draining = true;
    this.endWhere(() => true, "draining");
  }

  /** Ends all connections that `matches` names. */
  endWhere(
    matches: (connection: Pick<ConnectionInfo, "tenant" | "keyId">) => boolean,
    reason: DisconnectReason,
  ): void {
    for (const connection of this.#connections) {
      if (matches(connection)) connection.end(reason);
    }
  }
}
