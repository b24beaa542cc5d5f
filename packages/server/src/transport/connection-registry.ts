import { RealtimeError } from "@paperdb/protocol";
import type { GrantFilters } from "../auth/grant-filters.ts";

/** What is known of a connection. */
export interface ConnectionInfo {
  readonly id: string;
  readonly tenant: string;
  readonly keyId: string;
  readonly transport: "sse" | "websocket";
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
  readonly remoteAddress: string;
  /** ISO 8601. */
  readonly openedAt: string;
}

/** Why a connection is ended from within the server. */
export type DisconnectReason = "revoked" | "admin" | "draining";

/** A connection, and how to end it. */
export interface RegisteredConnection extends Pick<ConnectionInfo, "tenant" | "keyId"> {
  /** At the moment; its id and tenant never change. Made anew when it is asked for. */
  readonly info: ConnectionInfo;
  end(reason: DisconnectReason): void;
}

/** What a client is told that comes while the server shuts down. */
export function drainingError(): RealtimeError {
  return new RealtimeError("draining", "The server is shutting down: try again.", { retryAfterSeconds: 1 });
}

/** All live connections of this server, those that are still being opened included. */
export class ConnectionRegistry {
  readonly #connections = new Map<string, RegisteredConnection>();
  readonly #countByTenant = new Map<string, number>();
  readonly #maxTotal: number;
  #draining = false;

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
    const { id } = connection.info;
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
    this.#connections.set(id, connection);
    this.#countByTenant.set(tenant, ofTenant + 1);
  }

  delete(id: string): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#connections.delete(id);
    const { tenant } = connection;
    const left = (this.#countByTenant.get(tenant) ?? 1) - 1;
    if (left === 0) this.#countByTenant.delete(tenant);
    else this.#countByTenant.set(tenant, left);
  }

  list(): readonly ConnectionInfo[] {
    return Array.from(this.#connections.values(), ({ info }) => info);
  }

  /** Ends one connection; false when there is none of this id. */
  end(id: string, reason: DisconnectReason): boolean {
    const connection = this.#connections.get(id);
    connection?.end(reason);
    return connection !== undefined;
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
    for (const connection of this.#connections.values()) {
      if (matches(connection)) connection.end(reason);
    }
  }
}
