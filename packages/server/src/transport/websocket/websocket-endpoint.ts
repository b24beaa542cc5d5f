import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { RealtimeError, SUBPROTOCOL, type CloseReason } from "@paperdb/protocol";
import type { FastifyInstance } from "fastify";
import { WebSocketServer, type Server } from "ws";
import type { Grant } from "../../auth/grant.ts";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { ConnectionRegistry } from "../connection-registry.ts";
import { renderAsyncApi } from "./asyncapi.ts";
import type { Channels } from "./channel-subscription.ts";
import type { ConnectionOptions, WebSocketConnection } from "./connection.ts";
import { Handshake, refuseUpgrade } from "./handshake.ts";
import { ignoreUpgrade, wantsOtherProtocol } from "./ignored-upgrade.ts";
import { Liveness } from "./liveness.ts";
import { Peer, type PeerLimits } from "./peer.ts";
import { PendingRequests } from "./pending-requests.ts";
import { RawConnection } from "./raw-connection.ts";
import { readUpgradeRequest, upgradeRequired } from "./upgrade-request.ts";
import { UpgradedWebSocket } from "./upgraded-web-socket.ts";
import { V1Connection } from "./v1-connection.ts";

/** Bounds and intervals of WebSockets. */
interface WebSocketSettings {
  readonly handshakeTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxMessagesPerSecond: number;
  readonly maxSubscriptions: number;
  readonly closeTimeoutMs: number;
  readonly peerTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly maxUnreadAnswerBytes: number;
  readonly writeTimeoutMs: number;
}

/** What WebSockets need of the rest of the server. */
export interface WebSocketDependencies {
  readonly channels: Channels;
  readonly connections: ConnectionRegistry;
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  readonly settings: WebSocketSettings;
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

/** Of an answer, `ready` with its cursor: after a reset all subscriptions get one at once. */
const MAX_READY_BYTES = 2048;

/** A message may always come in so many fragments and packets, and in more where they have this size. */
const MIN_PARTS = 1024;
const MIN_PART_BYTES = 64;

/** WebSockets on the paths `/` and `/realtime` of the HTTP server. */
export class WebSocketEndpoint {
  readonly #dependencies: WebSocketDependencies;
  readonly #log: FastifyInstance["log"];
  readonly #liveness: Liveness;
  readonly #server: Server<typeof UpgradedWebSocket>;
  /** Those that wait for their handshake included: the HTTP server has forgotten them. */
  readonly #sockets = new Set<Socket>();

  constructor(app: FastifyInstance, dependencies: WebSocketDependencies) {
    this.#dependencies = dependencies;
    this.#log = app.log;
    this.#liveness = new Liveness(dependencies.settings);
    const { maxMessageBytes } = dependencies.settings;
    const maxParts = Math.max(MIN_PARTS, Math.ceil(maxMessageBytes / MIN_PART_BYTES));
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: maxMessageBytes,
      maxFragments: maxParts,
      maxBufferedChunks: maxParts,
      WebSocket: UpgradedWebSocket,
      handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
    });
    this.#server.on("wsClientError", (error, socket) => {
      refuseUpgrade(socket, new RealtimeError("invalid_request", `${error.message}.`));
    });
    const pending = new PendingRequests(app);
    app.server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (pending.has(socket)) {
        socket.destroy();
        return;
      }
      if (wantsOtherProtocol(request)) {
        ignoreUpgrade(app.server, request, socket, head);
        return;
      }
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      void this.#upgrade(new Handshake(request, socket, head, dependencies.settings.handshakeTimeoutMs));
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
    for (const socket of this.#sockets) socket.destroy();
  }

  async #upgrade(handshake: Handshake): Promise<void> {
    try {
      const { request } = handshake;
      const { speaksV1, token } = readUpgradeRequest(request, this.#dependencies.origins);
      const grant = await this.#dependencies.authenticateToken(token);
      if (handshake.isOver) return;
      // Registered in this turn: a revocation from now on is not missed.
      const connection = this.#createConnection(speaksV1, {
        grant,
        remoteAddress: request.socket.remoteAddress ?? "",
        onClosing: (reason) => this.#dependencies.onClosing(reason),
        onEndedEarly: (refusal) => handshake.refuse(refusal),
        onClosed: (closed) => this.#forget(closed),
      });
      handshake.attach(connection);
      this.#dependencies.connections.add(connection, this.#dependencies.maxConnections(grant));
      await connection.open();
      if (!handshake.isOver) this.#accept(handshake, connection);
    } catch (error) {
      handshake.refuse(this.#explain(error));
    }
  }

  #createConnection(speaksV1: boolean, options: ConnectionOptions): WebSocketConnection {
    const { channels, filterLimits, settings } = this.#dependencies;
    if (!speaksV1) return new RawConnection({ channels, limits: settings }, options);
    const dependencies = {
      channels,
      limits: settings,
      filterLimits,
      authenticateToken: (token: string) => this.#dependencies.authenticateToken(token),
      onInternalError: (error: unknown) => this.#logFailure(error),
    };
    return new V1Connection(dependencies, options);
  }

  #accept(handshake: Handshake, connection: WebSocketConnection): void {
    const { request, socket, head } = handshake;
    handshake.complete();
    let webSocket: UpgradedWebSocket | undefined;
    this.#server.handleUpgrade(request, socket, head, (upgraded) => {
      webSocket = upgraded;
    });
    if (webSocket === undefined) {
      connection.abandon();
      return;
    }
    this.#dependencies.onOpened();
    this.#liveness.add(connection);
    connection.start(new Peer(webSocket, socket, this.#peerLimits(), connection));
  }

  #peerLimits(): PeerLimits {
    const { settings } = this.#dependencies;
    const minAnswerBytes = settings.maxSubscriptions * MAX_READY_BYTES;
    const maxUnreadAnswerBytes = Math.max(settings.maxUnreadAnswerBytes, minAnswerBytes);
    return { ...settings, maxUnreadAnswerBytes };
  }

  #forget(connection: WebSocketConnection): void {
    this.#liveness.delete(connection);
    this.#dependencies.connections.delete(connection.id);
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
