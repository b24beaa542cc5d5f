import type { Socket } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { RealtimeError } from "@paperdb/protocol";
import { requireCollection, requireTopic, type Grant } from "../../auth/grant.ts";
import { tokenExpired } from "../../auth/realtime-token.ts";
import type { TokenExpiries } from "../../auth/token-expiries.ts";
import type { Hub } from "../../hub/hub.ts";
import type { ChangeSource } from "../../source/change-source.ts";
import type { SourceDirectory } from "../../source/source-directory.ts";
import type { ConnectionRegistry } from "../connection-registry.ts";
import { documentScope } from "../document-scope.ts";
import { openCollection, type OpenCollection } from "../open-collection.ts";
import { openTopic } from "../open-topic.ts";
import { responseHead } from "./response-head.ts";
import { SseClient, type SseClientEnd, type SseClientStream } from "./sse-client.ts";
import { SseConnection, type SseConnectionDependencies } from "./sse-connection.ts";
import type { SseEncoding } from "./sse-encoding.ts";
import type { SubscribeSubject } from "./subscribe-query.ts";
import { cutConnection, takeSocket } from "./taken-socket.ts";

/** What a connection needs of the rest of the server. */
export interface SseSessionDependencies {
  readonly hub: Hub;
  readonly directory: SourceDirectory;
  /** The event bus, which topics come from. */
  readonly bus: ChangeSource;
  readonly connections: ConnectionRegistry;
  readonly expiries: TokenExpiries;
  /** For the connections that come of it. */
  readonly open: SseConnectionDependencies;
  /** How long a client may leave an earlier answer on its connection unread, in ms. */
  readonly writeTimeoutMs: number;
  /** A client has got its answer. */
  onOpened(): void;
  /** Connections that the grant's plan allows. */
  maxConnections(grant: Grant): number;
}

/** Why a connection ends; `gone`: the client is. */
type SessionEnd = SseClientEnd | "gone";

/** What a client asks for. */
export interface Wish {
  readonly subject: SubscribeSubject;
  readonly cursor: string | undefined;
  readonly snapshot: boolean;
  readonly encoding: SseEncoding;
}

/** A request to subscribe, until there is an answer: then an {@link SseConnection} goes on, and this is forgotten. */
export class SseSession implements SseClientStream {
  readonly #dependencies: SseSessionDependencies;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #client: SseClient;
  readonly #wish: Wish;
  /** Set when it was ended before there was an answer. */
  #ended: SessionEnd | undefined;
  /** Aborted then: nobody waits for the documents any more. */
  #waiting: AbortController | undefined;

  constructor(
    dependencies: SseSessionDependencies,
    { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
    grant: Grant,
    wish: Wish,
  ) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#reply = reply;
    this.#client = new SseClient(grant, wish.subject, this);
    this.#wish = wish;
  }

  get remoteAddress(): string {
    return this.#request.ip;
  }

  end(reason: SessionEnd): void {
    this.#ended = reason;
    this.#waiting?.abort(endedError(reason));
  }

  /** Begins the answer once it is live. @throws {RealtimeError} why there is none. */
  async open(): Promise<void> {
    const { connections, expiries } = this.#dependencies;
    const { grant } = this.#client;
    requireSubject(grant, this.#wish.subject);
    // Registered before the first wait: a revocation meanwhile is not missed.
    connections.add(this.#client, this.#dependencies.maxConnections(grant));
    expiries.add(this.#client);
    const { socket } = this.#request.raw;
    const leave = (): void => this.end("gone");
    socket.once("close", leave);
    if (socket.destroyed) leave();
    try {
      const open = await this.#openChannel();
      await this.#untilItsTurn();
      this.#answerOn(this.#takeSocket(open), open);
    } catch (error) {
      this.#dependencies.open.onClosed(this.#client);
      throw error;
    } finally {
      socket.off("close", leave);
    }
  }

  /** Before the answer begins, so that it can say why there is none. A client that leaves meanwhile gives its snapshot up. */
  async #openChannel(): Promise<OpenCollection> {
    const { subject, cursor, snapshot } = this.#wish;
    const { grant } = this.#client;
    const { tenant } = grant;
    if ("topic" in subject) return openTopic(this.#dependencies, { tenant, pattern: subject.topic, cursor });
    const channel = { tenant, collection: subject.collection };
    const scope = documentScope(grant, subject.collection, subject.where);
    const signal = snapshot ? this.#signal() : undefined;
    return openCollection(this.#dependencies, { channel, scope, cursor, snapshot }, signal);
  }

  #signal(): AbortSignal {
    this.#waiting = new AbortController();
    if (this.#ended !== undefined) this.end(this.#ended);
    return this.#waiting.signal;
  }

  /** Resolves once the answers of earlier requests are on their way. */
  async #untilItsTurn(): Promise<void> {
    const { socket } = this.#request.raw;
    // The turn of a pipelined request may never come, and its stream must not enter another answer.
    if (this.#reply.raw.socket === null) this.#cut();
    if (socket.writableLength > 0) await this.#untilWritten(socket);
  }

  /** Between the last look at what has ended it and the answer nothing else happens: no revocation is missed. */
  #takeSocket({ channel, opened }: OpenCollection): Socket {
    const { raw } = this.#request;
    try {
      if (raw.socket.destroyed) this.#cut();
      if (this.#ended !== undefined) throw endedError(this.#ended);
      return takeSocket(raw, this.#reply.raw);
    } catch (error) {
      opened?.reading.close();
      this.#dependencies.hub.release(channel);
      throw error;
    }
  }

  #cut(): void {
    cutConnection(this.#request.raw);
    this.end("gone");
  }

  async #untilWritten(socket: Socket): Promise<void> {
    // The HTTP server ends it then.
    socket.setTimeout(this.#dependencies.writeTimeoutMs);
    await new Promise((resolve) => socket.write("", resolve));
  }

  /** Nobody else would end a socket that was taken and is not answered on. */
  #answerOn(socket: Socket, open: OpenCollection): void {
    try {
      this.#answer(socket, open);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  #answer(socket: Socket, { channel, filter, opened }: OpenCollection): void {
    const { hub, open } = this.#dependencies;
    const { cursor, snapshot, encoding } = this.#wish;
    const head = responseHead({ ...this.#reply.getHeaders(), ...encoding.headers });
    this.#reply.hijack();
    const target = new SseConnection(open, socket, { client: this.#client, encoding, head });
    this.#dependencies.onOpened();
    const { format } = encoding;
    target.follow(hub.subscribe(channel, { target, format, filter, cursor, snapshot, opened }));
  }
}

function requireSubject(grant: Grant, subject: SubscribeSubject): void {
  if ("collection" in subject) requireCollection(grant, subject.collection);
  else requireTopic(grant, subject.topic);
}

function endedError(reason: SessionEnd): RealtimeError {
  if (reason === "draining") {
    return new RealtimeError("draining", "The server is shutting down. Try again.", { retryAfterSeconds: 1 });
  }
  if (reason === "expired") return tokenExpired();
  return new RealtimeError("key_revoked", "The key was revoked or the connection ended while it was opened.");
}
