import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { RealtimeError, SUBPROTOCOL, type CloseReason } from "@paperdb/protocol";
import type { FastifyInstance } from "fastify";
import type { Grant } from "../../auth/grant.ts";
import type { TokenExpiries } from "../../auth/token-expiries.ts";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { BlockCompressor } from "../compression/block-compressor.ts";
import type { ConnectionRegistry } from "../connection-registry.ts";
import type { OpeningCost, OpeningTurns } from "../opening-turns.ts";
import { renderAsyncApi } from "./asyncapi.ts";
import type { Channels } from "./channel-subscription.ts";
import type { WebSocketConnection } from "./connection.ts";
import { answerDeflateOffer } from "./deflate-offer.ts";
import { deflatedEvents, PLAIN_EVENTS, type EventEncoding } from "./event-encoding.ts";
import { Handshake, type HandshakeOptions } from "./handshake.ts";
import { ignoreUpgrade, wantsOtherProtocol } from "./ignored-upgrade.ts";
import { inflateMessage } from "./inflate-message.ts";
import { Liveness } from "./liveness.ts";
import { MessageTurns } from "./message-turns.ts";
import { Peer, type PeerLimits } from "./peer.ts";
import { PendingRequests } from "./pending-requests.ts";
import { RawConnection } from "./raw-connection.ts";
import { upgradeAnswer } from "./upgrade-answer.ts";
import { readUpgradeRequest, upgradeRequired } from "./upgrade-request.ts";
import { V1Connection, type V1Dependencies } from "./v1-connection.ts";
import { peerLimits, type WebSocketSettings } from "./websocket-settings.ts";

/** What WebSockets need of the rest of the server. */
export interface WebSocketDependencies {
  readonly channels: Channels;
  readonly connections: ConnectionRegistry;
  readonly openings: OpeningTurns;
  readonly expiries: TokenExpiries;
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  readonly settings: WebSocketSettings;
  /** For clients that read it; undefined: for none. */
  readonly compressor: BlockCompressor | undefined;
  /** Whose pages may connect; `*` is every origin. */
  readonly origins: readonly string[];
  /** @throws {RealtimeError} also while the server shuts down. */
  authenticateToken(token: string): Promise<Grant>;
  /** A client has got its answer. */
  onOpened(): void;
  /** A client is told to go, or is cut. */
  onClosing(reason: CloseReason | "unresponsive"): void;
  /** Connections that the grant's plan allows. */
  maxConnections(grant: Grant): number;
}

const OPENING_COST: OpeningCost = 1;

/** What all connections share whose messages are of one kind. */
interface Shared {
  readonly dependencies: V1Dependencies;
  readonly peerLimits: PeerLimits;
}

/** WebSockets on the paths `/` and `/realtime` of the HTTP server. */
export class WebSocketEndpoint {
  readonly #dependencies: WebSocketDependencies;
  readonly #log: FastifyInstance["log"];
  readonly #liveness: Liveness;
  readonly #turns = new MessageTurns();
  readonly #plain: Shared;
  /** For those whose messages are compressed; undefined: there are none. */
  readonly #compressed: Shared | undefined;
  /** Those that wait for their handshake: the HTTP server has forgotten them. */
  readonly #waiting = new Set<Handshake>();

  constructor(app: FastifyInstance, dependencies: WebSocketDependencies) {
    this.#dependencies = dependencies;
    this.#log = app.log;
    this.#liveness = new Liveness(dependencies.settings);
    const { compressor, settings } = dependencies;
    const limits = peerLimits(settings);
    this.#plain = { dependencies: this.#connectionDependencies(PLAIN_EVENTS), peerLimits: limits };
    this.#compressed = compressor && {
      dependencies: this.#connectionDependencies(deflatedEvents(compressor)),
      peerLimits: {
        ...limits,
        inflate: (payload) => inflateMessage(payload, settings.maxMessageBytes),
      },
    };
    const pending = new PendingRequests(app.server);
    const options: HandshakeOptions = {
      timeoutMs: dependencies.settings.handshakeTimeoutMs,
      onOver: (handshake) => this.#waiting.delete(handshake),
    };
    app.server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (pending.has(socket)) {
        socket.destroy();
        return;
      }
      if (wantsOtherProtocol(request)) {
        ignoreUpgrade(app.server, request, socket, head);
        return;
      }
      const handshake = new Handshake(socket, head, options);
      this.#waiting.add(handshake);
      dependencies.openings.add(socket, OPENING_COST, () => void this.#upgrade(request, handshake));
    });
    const description = renderAsyncApi();
    app.get("/asyncapi.json", { schema: { hide: true } }, (_request, reply) => reply.send(description));
    app.get("/realtime", { schema: { hide: true } }, (_request, reply) => {
      reply.header("upgrade", "websocket");
      throw upgradeRequired();
    });
  }

  /** Cuts what is left. */
  close(): void {
    this.#liveness.close();
    for (const { socket } of this.#waiting) socket.destroy();
    for (const peer of this.#liveness.peers) peer.cut();
  }

  async #upgrade(request: IncomingMessage, handshake: Handshake): Promise<void> {
    // It has waited for its turn for too long.
    if (handshake.isOver) return;
    try {
      const { speaksV1, token, key } = readUpgradeRequest(request, this.#dependencies.origins);
      const extension = this.#compressed && answerDeflateOffer(request.headers["sec-websocket-extensions"]);
      const shared = (extension === undefined ? undefined : this.#compressed) ?? this.#plain;
      const grant = await this.#dependencies.authenticateToken(token);
      if (handshake.isOver) return;
      // Registered in this turn: a revocation from now on is not missed.
      const connection = speaksV1
        ? new V1Connection(shared.dependencies, grant, handshake)
        : new RawConnection(shared.dependencies, grant, handshake);
      handshake.attach(connection);
      this.#dependencies.connections.add(connection, this.#dependencies.maxConnections(grant));
      await connection.open();
      if (handshake.isOver) return;
      const answer = upgradeAnswer(key, {
        ...(speaksV1 && V1),
        ...(extension && { [EXTENSIONS]: extension }),
      });
      this.#accept(handshake, connection, { answer, limits: shared.peerLimits });
    } catch (error) {
      handshake.refuse(this.#explain(error));
    }
  }

  #accept(
    handshake: Handshake,
    connection: WebSocketConnection,
    { answer, limits }: { readonly answer: string; readonly limits: PeerLimits },
  ): void {
    const { socket, head } = handshake;
    handshake.complete();
    if (!socket.readable || !socket.writable) {
      connection.abandon();
      socket.destroy();
      return;
    }
    socket.write(answer);
    this.#dependencies.onOpened();
    try {
      connection.start(new Peer(socket, head, limits, connection));
    } catch (error) {
      // Nobody else would end it.
      socket.destroy();
      throw error;
    }
    this.#liveness.add(connection);
  }

  #connectionDependencies(encoding: EventEncoding): V1Dependencies {
    const { channels, filterLimits, settings, connections, expiries } = this.#dependencies;
    return {
      channels,
      filterLimits,
      limits: { ...settings, turns: this.#turns },
      encoding,
      expiries,
      authenticateToken: (token) => this.#dependencies.authenticateToken(token),
      onInternalError: (error) => this.#logFailure(error),
      onClosing: (reason) => this.#dependencies.onClosing(reason),
      onClosed: (connection) => {
        this.#liveness.delete(connection);
        connections.delete(connection);
      },
    };
  }

  #explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#logFailure(error);
    return new RealtimeError("internal", "The server failed; its log has the cause.", { cause: error });
  }

  #logFailure(error: unknown): void {
    this.#log.error({ err: error }, "a WebSocket request failed");
  }
}

const V1 = { "Sec-WebSocket-Protocol": SUBPROTOCOL };
const EXTENSIONS = "Sec-WebSocket-Extensions";
