import { randomUUID } from "node:crypto";
import type { Grant } from "../../auth/grant.ts";
import type { ConnectionAccess, ConnectionInfo } from "../connection-registry.ts";
import type { SubscribeSubject } from "./subscribe-query.ts";

/** Who is connected, and to what: the same while the connection is opened and afterwards. */
export class SseClient {
  readonly grant: Grant;
  readonly #collection: string | undefined;
  readonly #topic: string | undefined;
  readonly #openedAtMs = Date.now();
  #id: string | undefined;

  constructor(grant: Grant, subject: SubscribeSubject) {
    this.grant = grant;
    this.#collection = "collection" in subject ? subject.collection : undefined;
    this.#topic = "topic" in subject ? subject.topic : undefined;
  }

  /** Made when it is asked for, which is seldom. */
  get id(): string {
    this.#id ??= randomUUID();
    return this.#id;
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

  infoAt(remoteAddress: string): ConnectionInfo {
    const openedAt = new Date(this.#openedAtMs).toISOString();
    return { ...this.access, id: this.id, transport: "sse", remoteAddress, openedAt };
  }
}
