import { randomUUID } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import { requireCollection, requireTopic, type Grant } from "../../auth/grant.ts";
import { tokenExpired } from "../../auth/realtime-token.ts";
import { onTokenExpiry } from "../../auth/token-expiry.ts";
import type { Hub } from "../../hub/hub.ts";
import type { Subscription } from "../../hub/subscription.ts";
import type { ChangeSource } from "../../source/change-source.ts";
import type { SourceDirectory } from "../../source/source-directory.ts";
import type { ConnectionInfo, ConnectionRegistry, DisconnectReason } from "../connection-registry.ts";
import { documentScope, type DocumentScope } from "../document-scope.ts";
import { openCollection, type OpenCollection } from "../open-collection.ts";
import { openTopic } from "../open-topic.ts";
import { SseConnection } from "./sse-connection.ts";
import type { SseEncoding } from "./sse-encoding.ts";
import { retryFrame } from "./sse-frames.ts";
import type { SubscribeSubject } from "./subscribe-query.ts";

/** What a connection needs of the rest of the server. */
export interface SseSessionDependencies {
  readonly hub: Hub;
  readonly directory: SourceDirectory;
  /** The event bus, which topics come from. */
  readonly bus: ChangeSource;
  readonly connections: ConnectionRegistry;
  /** A client has got its answer. */
  onOpened(): void;
  /** Connections that the grant's plan allows. */
  maxConnections(grant: Grant): number;
}

/** Why a connection ends; `expired`: its token's time is over. */
type SessionEnd = DisconnectReason | "expired";

/** A client told to come back waits this long, so that not all come at once. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5000;

/** What a client asks for. */
export interface Wish {
  readonly subject: SubscribeSubject;
  readonly cursor: string | undefined;
  readonly snapshot: boolean;
  readonly encoding: SseEncoding;
}

/** One connection, from the request to its end. */
export class SseSession {
  readonly #dependencies: SseSessionDependencies;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #id = randomUUID();
  #connection: SseConnection | undefined;
  #subscription: Subscription | undefined;
  /** Set when the connection was ended before it was open. */
  #endedEarly: SessionEnd | undefined;
  /** Aborted when nobody waits for the answer any more. */
  readonly #waiting = new AbortController();
  #cancelExpiry: (() => void) | undefined;

  constructor(dependencies: SseSessionDependencies, request: FastifyRequest, reply: FastifyReply) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#reply = reply;
  }

  /** Begins the answer once it is live. @throws {RealtimeError} why there is none. */
  async open(grant: Grant, wish: Wish): Promise<void> {
    const { connections, hub } = this.#dependencies;
    const { subject } = wish;
    if ("collection" in subject) requireCollection(grant, subject.collection);
    else requireTopic(grant, subject.topic);
    // Registered before the first wait: a revocation meanwhile is not missed.
    connections.add(
      {
        tenant: grant.tenant,
        keyId: grant.keyId,
        info: this.#info(grant, subject),
        end: (reason) => this.#end(reason),
      },
      this.#dependencies.maxConnections(grant),
    );
    this.#cancelExpiry = onTokenExpiry(grant, () => this.#end("expired"));
    const scope = "topic" in subject ? undefined : documentScope(grant, subject.collection, subject.where);
    let open: OpenCollection;
    try {
      open = await this.#openChannel(grant, wish, scope);
    } catch (error) {
      this.#leave();
      throw error;
    }
    // The turn of a pipelined request may never come, and its stream must not enter another answer.
    if (this.#reply.raw.socket === null) this.#request.raw.socket.destroy();
    if (this.#endedEarly !== undefined || this.#request.raw.socket.destroyed) {
      open.opened?.reading.close();
      hub.release(open.channel);
      this.#leave();
      throw endedError(this.#endedEarly);
    }
    this.#start(open, wish);
  }

  /** Before the answer begins, so that it can say why there is none. A client that leaves meanwhile gives its snapshot up. */
  async #openChannel(
    { tenant }: Grant,
    { subject, cursor, snapshot }: Wish,
    scope: DocumentScope | undefined,
  ): Promise<OpenCollection> {
    if ("topic" in subject) return openTopic(this.#dependencies, { tenant, pattern: subject.topic, cursor });
    const { signal } = this.#waiting;
    const abandon = (): void => this.#waiting.abort(endedError(undefined));
    const { socket } = this.#request.raw;
    socket.once("close", abandon);
    if (socket.destroyed) abandon();
    try {
      const channel = { tenant, collection: subject.collection };
      return await openCollection(this.#dependencies, { channel, scope, cursor, snapshot }, signal);
    } finally {
      socket.off("close", abandon);
    }
  }

  #start({ channel, filter, opened }: OpenCollection, { cursor, snapshot, encoding }: Wish): void {
    const { hub } = this.#dependencies;
    this.#reply.hijack();
    const connection = new SseConnection(this.#request.raw, this.#reply.getHeaders(), encoding, {
      drained: () => {
        if (this.#subscription !== undefined) hub.resume(this.#subscription);
      },
      progressed: () => {
        if (this.#subscription !== undefined) hub.progressed(this.#subscription);
      },
      closed: () => {
        this.#leave();
        if (this.#subscription !== undefined) hub.unsubscribe(this.#subscription);
      },
    });
    this.#connection = connection;
    this.#dependencies.onOpened();
    this.#subscription = hub.subscribe(channel, {
      target: connection,
      format: encoding.format,
      filter,
      cursor,
      snapshot,
      opened,
    });
  }

  #leave(): void {
    this.#cancelExpiry?.();
    this.#dependencies.connections.delete(this.#id);
  }

  #end(reason: SessionEnd): void {
    if (this.#connection === undefined) {
      this.#endedEarly = reason;
      this.#waiting.abort(endedError(reason));
    }
    // The client comes back by itself, and learns why from the answer.
    else if (reason === "expired") this.#connection.close();
    else if (reason === "draining") this.#connection.close(retryFrame(jitteredRetryMs()));
    else this.#connection.destroy();
  }

  #info(grant: Grant, subject: SubscribeSubject): ConnectionInfo {
    return {
      id: this.#id,
      tenant: grant.tenant,
      keyId: grant.keyId,
      transport: "sse",
      collections: "collection" in subject ? [subject.collection] : [],
      topics: "topic" in subject ? [subject.topic] : [],
      ...(grant.keyFilters === undefined ? {} : { keyFilters: grant.keyFilters }),
      byToken: grant.token !== undefined,
      remoteAddress: this.#request.ip,
      openedAt: new Date().toISOString(),
    };
  }
}

function jitteredRetryMs(): number {
  return Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS));
}

function endedError(reason: SessionEnd | undefined): RealtimeError {
  if (reason === "draining") {
    return new RealtimeError("draining", "The server is shutting down. Try again.", { retryAfterSeconds: 1 });
  }
  if (reason === "expired") return tokenExpired();
  return new RealtimeError("key_revoked", "The key was revoked or the connection ended while it was opened.");
}
