import { randomUUID } from "node:crypto";
import type { Grant } from "../../auth/grant.ts";
import type { ExpiringGrant } from "../../auth/token-expiries.ts";
import type {
  ConnectionAccess,
  ConnectionInfo,
  DisconnectReason,
  RegisteredConnection,
} from "../connection-registry.ts";
import type { SubscribeSubject } from "./subscribe-query.ts";

/** Why a client's stream is ended from within the server; `expired`: its token's time is over. */
export type SseClientEnd = DisconnectReason | "expired";

/** What a client's stream is at the moment: a request, then a connection. */
export interface SseClientStream {
  readonly remoteAddress: string;
  end(reason: SseClientEnd): void;
}

/** Who is connected, and to what: the same while the connection is opened and afterwards. */
export class SseClient implements RegisteredConnection, ExpiringGrant {
  readonly grant: Grant;
  /** Replaced in the turn in which another one takes over. */
  stream: SseClientStream;
  expiryIndex = -1;
  readonly #collection: string | undefined;
  readonly #topic: string | undefined;
  readonly #openedAtMs = Date.now();
  #id: string | undefined;

  constructor(grant: Grant, subject: SubscribeSubject, stream: SseClientStream) {
    this.grant = grant;
    this.stream = stream;
    this.#collection = "collection" in subject ? subject.collection : undefined;
    this.#topic = "topic" in subject ? subject.topic : undefined;
  }

  /** Made when it is asked for, which is seldom. */
  get id(): string {
    this.#id ??= randomUUID();
    return this.#id;
  }

  get tenant(): string {
    return this.grant.tenant;
  }

  get keyId(): string {
    return this.grant.keyId;
  }

  get access(): ConnectionAccess {
    const { tenant, keyId, keyFilters, token } = this.grant;
    return {
      tenant,
      keyId,
      collections: this.#collection === undefined ? [] : [this.#collection],
      topics: this.#topic === undefined ? [] : [this.#topic],
      ...(keyFilters === undefined ? {} : { keyFilters }),
      byToken: token !== undefined,
    };
  }

  get info(): ConnectionInfo {
    const { remoteAddress } = this.stream;
    const openedAt = new Date(this.#openedAtMs).toISOString();
    return { ...this.access, id: this.id, transport: "sse", remoteAddress, openedAt };
  }

  get expiresAtMs(): number | undefined {
    return this.grant.token?.expiresAtMs;
  }

  expired(): void {
    this.stream.end("expired");
  }

  end(reason: DisconnectReason): void {
    this.stream.end(reason);
  }
}
