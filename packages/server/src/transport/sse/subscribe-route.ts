import { randomUUID } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { requireCollection, requireTopic, type Grant } from "../../auth/grant.ts";
import { tokenExpired } from "../../auth/realtime-token.ts";
import { onTokenExpiry } from "../../auth/token-expiry.ts";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { Hub } from "../../hub/hub.ts";
import type { Subscription } from "../../hub/subscription.ts";
import { problemSchema } from "../../http/problem.ts";
import type { ChangeSource } from "../../source/change-source.ts";
import type { SourceDirectory } from "../../source/source-directory.ts";
import type { ConnectionInfo, ConnectionRegistry, DisconnectReason } from "../connection-registry.ts";
import { documentScope, type DocumentScope } from "../document-scope.ts";
import { openCollection, type OpenCollection } from "../open-collection.ts";
import { openTopic } from "../open-topic.ts";
import { SseConnection } from "./sse-connection.ts";
import { retryFrame, SSE_FRAMES } from "./sse-frames.ts";
import { subjectOf, subscribeQuerySchema, type SubscribeSubject } from "./subscribe-query.ts";

/** What the route needs of the rest of the server. */
export interface SubscribeRouteDependencies {
  readonly hub: Hub;
  readonly directory: SourceDirectory;
  /** The event bus, which topics come from. */
  readonly bus: ChangeSource;
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  readonly connections: ConnectionRegistry;
  /** Finds out who asks, and that the plan has realtime. */
  authorize(request: FastifyRequest): Promise<Grant>;
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

/** `GET /v1/events/subscribe`: one subscription, as Server-Sent Events. */
export function subscribeRoute(app: FastifyInstance, dependencies: SubscribeRouteDependencies): void {
  const grants = new WeakMap<FastifyRequest, Grant>();
  app.withTypeProvider<ZodTypeProvider>().route({
    method: "GET",
    url: "/v1/events/subscribe",
    schema: {
      summary: "Subscribe to a collection or a topic",
      description:
        "Server-Sent Events: `ready` first (after the documents, where asked for), then each change as a plain message `{type, documentId, document}` (on a topic `{topic, data}`) whose id is its cursor; `reset` when changes may have been missed.",
      tags: ["events"],
      security: [{ apikey: [] }, { bearer: [] }],
      querystring: subscribeQuerySchema,
      headers: z.looseObject({
        "last-event-id": z
          .string()
          .optional()
          .describe("The cursor to go on from; EventSource sends it by itself"),
      }),
      response: {
        200: z.string().describe("`text/event-stream`"),
        ...Object.fromEntries([400, 401, 403, 404, 429, 503].map((status) => [status, problemSchema])),
      },
    },
    onRequest: async (request) => {
      grants.set(request, await dependencies.authorize(request));
    },
    handler: async (request, reply) => {
      const grant = grants.get(request);
      if (grant === undefined) throw new Error("the request was not authorised");
      refuseBody(request);
      const subject = subjectOf(request.query, dependencies.filterLimits);
      const cursor = request.headers["last-event-id"] || request.query.cursor;
      const snapshot = request.query.snapshot === "true";
      await new SseSession(dependencies, request, reply).open(grant, { subject, cursor, snapshot });
    },
  });
}

/** What a client asks for. */
interface Wish {
  readonly subject: SubscribeSubject;
  readonly cursor: string | undefined;
  readonly snapshot: boolean;
}

/** One connection, from the request to its end. */
class SseSession {
  readonly #dependencies: SubscribeRouteDependencies;
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

  constructor(dependencies: SubscribeRouteDependencies, request: FastifyRequest, reply: FastifyReply) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#reply = reply;
  }

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

  #start({ channel, filter, opened }: OpenCollection, { cursor, snapshot }: Wish): void {
    const { hub } = this.#dependencies;
    this.#reply.hijack();
    const connection = new SseConnection(this.#request.raw, this.#reply.getHeaders(), {
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
      format: SSE_FRAMES,
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

/** A body that nobody reads stops the socket, and the end of its peer would go unnoticed. */
function refuseBody({ headers }: FastifyRequest): void {
  const length = headers["content-length"] ?? "0";
  if (length === "0" && headers["transfer-encoding"] === undefined) return;
  throw new RealtimeError("invalid_request", "A subscribe takes no body: send the request without one.");
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
