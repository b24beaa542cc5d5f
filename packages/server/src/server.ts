import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Grant } from "./auth/grant.ts";
import { EVENT_BUS, EventBus } from "./bus/event-bus.ts";
import { IdempotencyKeys } from "./bus/idempotency.ts";
import { PublishRate } from "./bus/publish-rate.ts";
import { Closers } from "./closers.ts";
import type { Config, PlanConfig } from "./config/load-config.ts";
import { TokenExpiries } from "./auth/token-expiries.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { openDatabases } from "./databases.ts";
import { adminRoutes } from "./http/admin/admin-routes.ts";
import { createHttpServer } from "./http/http-server.ts";
import { listen, requireFreePort } from "./http/listen.ts";
import { operationsRoutes, type Readiness } from "./http/operations-routes.ts";
import { publishRoute } from "./http/publish-route.ts";
import { tokenRoute } from "./http/token-route.ts";
import { Hub } from "./hub/hub.ts";
import { MemoryLog } from "./log/memory/memory-log.ts";
import { openAccess, type Access } from "./open-access.ts";
import { openSources, type RunningSource } from "./open-sources.ts";
import type { ChangeSink } from "./source/change-source.ts";
import { SnapshotReads } from "./snapshot/snapshot-reads.ts";
import { SourceDirectory } from "./source/source-directory.ts";
import { countingSink } from "./telemetry/counting-sink.ts";
import { createLogger } from "./telemetry/logger.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { createDemo, type Demo } from "./tenants/demo.ts";
import type { Revoked } from "./tenants/grant-watcher.ts";
import { openTenantDatabase, type TenantDatabase } from "./tenants/tenant-database.ts";
import { BlockCompressor } from "./transport/compression/block-compressor.ts";
import { OpeningTurns } from "./transport/opening-turns.ts";
import { ConnectionRegistry, drainingError } from "./transport/connection-registry.ts";
import { gzipSse } from "./transport/sse/sse-encoding.ts";
import { subscribeRoute } from "./transport/sse/subscribe-route.ts";
import { WebSocketEndpoint } from "./transport/websocket/websocket-endpoint.ts";
import { VERSION } from "./version.ts";

/** A server that accepts connections. */
export interface RunningServer {
  /** Where it listens, such as `http://127.0.0.1:4000`. */
  readonly url: string;
  /** Of the PostgreSQL database with tenants and keys. */
  readonly databaseUrl: string;
  /** What a first start on the embedded database made; its keys are not to be had again. */
  readonly demo: Demo | undefined;
  /** Ends streams so that their clients come back, then everything else. */
  close(): Promise<void>;
}

/**
 * Starts everything, in the order of the pipeline: sources, log, hub, transports.
 *
 * @throws {RealtimeError | ConfigError} one sentence that says what to correct.
 */
export async function startServer(
  config: Config,
  log: Logger = createLogger(config.logLevel),
): Promise<RunningServer> {
  const closers = new Closers();
  try {
    return await new Composition(config, log, closers).start();
  } catch (error) {
    await closeOrLog(closers, log);
    throw error;
  }
}

/** Wires the stages. */
class Composition {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #closers: Closers;
  readonly #changeLog: MemoryLog;
  readonly #connections: ConnectionRegistry;
  readonly #openings = new OpeningTurns();
  readonly #expiries: TokenExpiries;
  readonly #metrics: Metrics;
  readonly #snapshots: SnapshotReads;
  readonly #hub: Hub;
  readonly #bus: EventBus;
  /** Undefined: nothing is compressed. */
  readonly #compressor: BlockCompressor | undefined;
  #sources: readonly RunningSource[] = [];
  #draining = false;
  /** Why all was closed, perhaps during the start; undefined while it was not. */
  #abandonedFor: Error | undefined;

  constructor(config: Config, log: Logger, closers: Closers) {
    this.#config = config;
    this.#log = log;
    this.#closers = closers;
    this.#changeLog = new MemoryLog(config.history);
    this.#connections = new ConnectionRegistry(config.connections.maxTotal);
    this.#expiries = new TokenExpiries((error) =>
      log.error({ err: error }, "a connection did not end with its token"),
    );
    this.#metrics = this.#createMetrics();
    this.#snapshots = new SnapshotReads({ ...config.snapshots, timeoutMs: config.snapshotTimeoutMs });
    this.#hub = new Hub(
      this.#changeLog,
      {
        ...config.connections,
        ...config.history,
        maxTriedComparisons: config.filters.maxTriedComparisons,
      },
      this.#metrics,
      this.#snapshots,
    );
    this.#bus = new EventBus(this.#sinkFor(EVENT_BUS));
    const { compression } = config;
    if (compression.enabled) this.#compressor = new BlockCompressor(compression);
    closers.add(() => {
      this.#hub.close();
      this.#changeLog.stop();
      this.#expiries.close();
    });
  }

  async start(): Promise<RunningServer> {
    await requireFreePort(this.#config.host, this.#config.port);
    const databases = await openDatabases(this.#config, this.#log, (error) => this.#abandon(error));
    this.#closers.add(() => databases.close());
    const { tenantsUrl: databaseUrl } = databases;
    const tenants = await openTenantDatabase({ url: databaseUrl, log: this.#log });
    this.#closers.add(() => tenants.close());
    const demo = hasDemo(this.#config) ? await createDemo(tenants.pool) : undefined;
    this.#sources = await this.#openSources(databases.urls);
    const access = await this.#openAccess(databaseUrl, tenants);
    const app = await this.#createApp(access, tenants);
    const webSockets = this.#openWebSockets(app, access);
    this.#closers.add(() => this.#drain(app, webSockets));
    const url = await listen(app, this.#config.host, this.#config.port);
    if (this.#abandonedFor !== undefined) throw this.#abandonedFor;
    return { url, databaseUrl, demo, close: () => this.#closers.close() };
  }

  async #openSources(urls: readonly string[]): Promise<readonly RunningSource[]> {
    return openSources({
      config: this.#config,
      urls,
      sinkFor: (name) => this.#sinkFor(name),
      topics: {
        publish: (tenant, topic, data) => this.#bus.publish(tenant, { topic, data }),
        lost: (reason) => this.#bus.lost(reason),
      },
      log: this.#log,
      onClose: (close) => this.#closers.add(close),
    });
  }

  #openAccess(url: string, { store }: TenantDatabase): Promise<Access> {
    return openAccess({
      config: this.#config,
      log: this.#log,
      url,
      store,
      liveKeys: () => this.#connections.accesses(),
      onRevoked: (revoked) => this.#disconnectRevoked(revoked),
      onClose: (close) => this.#closers.add(close),
    });
  }

  async #createApp(access: Access, { store }: TenantDatabase): Promise<FastifyInstance> {
    const { cors, filters: filterLimits, plans, publish, tokens, dataDir } = this.#config;
    const app = await createHttpServer({ corsOrigins: cors.origins, version: VERSION, log: this.#log });
    // Kept open, a connection would hold up the end.
    app.addHook("onSend", (_request, reply, _payload, done) => {
      if (this.#draining) reply.header("connection", "close");
      done();
    });
    const directory = this.#directory();
    const authorize = (request: FastifyRequest, allowQuery: boolean): Grant | Promise<Grant> => {
      this.#refuseWhileDraining();
      return access.authorize(request, allowQuery);
    };
    const rate = new PublishRate();
    subscribeRoute(app, {
      hub: this.#hub,
      directory,
      bus: this.#bus,
      filterLimits,
      connections: this.#connections,
      openings: this.#openings,
      expiries: this.#expiries,
      gzip: this.#compressor && gzipSse(this.#compressor),
      open: {
        hub: this.#hub,
        closeTimeoutMs: this.#config.connections.drainTimeoutMs,
        onClosed: (client) => {
          this.#expiries.delete(client);
          this.#connections.delete(client);
        },
      },
      writeTimeoutMs: this.#config.connections.writeTimeoutMs,
      authorize: async (request) => authorize(request, true),
      onOpened: () => this.#metrics.connectionOpened(),
      maxConnections: ({ plan }) => planOf(plans, plan)?.maxConnections ?? 0,
    });
    publishRoute(app, {
      bus: this.#bus,
      idempotency: new IdempotencyKeys(publish),
      maxBodyBytes: publish.maxBodyBytes,
      authorize: (request) => authorize(request, false),
      takePublish: ({ tenant, plan }) => rate.take(tenant, planOf(plans, plan)?.publishesPerSecond),
    });
    tokenRoute(app, {
      tokens: access.tokens,
      directory,
      maxGrants: tokens.maxGrants,
      filterLimits,
      authorize: (request) => authorize(request, false),
      maxTokenSeconds: ({ plan }) => planOf(plans, plan)?.maxTokenSeconds ?? 1,
    });
    adminRoutes(app, {
      store,
      adminKey: this.#config.adminKey ?? (await readOrCreateSecret(dataDir, "admin-key")),
      filterLimits,
      connections: {
        list: () => this.#connections.list(),
        end: (id) => this.#connections.end(id, "admin"),
      },
    });
    const { registry } = this.#metrics;
    operationsRoutes(app, {
      readiness: () => this.#readiness(),
      metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    });
    return app;
  }

  #openWebSockets(app: FastifyInstance, access: Access): WebSocketEndpoint {
    const { connections, cors, plans, websocket } = this.#config;
    return new WebSocketEndpoint(app, {
      channels: { hub: this.#hub, directory: this.#directory(), bus: this.#bus },
      filterLimits: this.#config.filters,
      connections: this.#connections,
      openings: this.#openings,
      expiries: this.#expiries,
      settings: { ...connections, ...websocket },
      compressor: this.#compressor,
      origins: cors.origins,
      authenticateToken: async (token) => {
        this.#refuseWhileDraining();
        return access.authenticateToken(token);
      },
      onOpened: () => this.#metrics.connectionOpened(),
      onClosing: (reason) => this.#metrics.webSocketClosed(reason),
      maxConnections: ({ plan }) => planOf(plans, plan)?.maxConnections ?? 0,
    });
  }

  #directory(): SourceDirectory {
    return new SourceDirectory(this.#sources.map(({ source }) => source));
  }

  #readiness(): readonly Readiness[] {
    const sources = this.#sources.map(({ source }) => ({ name: source.name, state: source.state() }));
    if (!this.#draining) return sources;
    const state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1000 } as const;
    return [...sources, { name: "server", state }];
  }

  #createMetrics(): Metrics {
    return new Metrics({
      connections: () => this.#connections.size,
      subscriptions: () => this.#hub.subscriptionCount,
      channels: () => this.#hub.channelCount,
      historyEvents: () => this.#changeLog.stats().events,
      historyBytes: () => this.#changeLog.stats().bytes,
      snapshots: () => this.#snapshots.stats(),
      sources: () => this.#sources.map((running) => running.figures()),
    });
  }

  #sinkFor(source: string): ChangeSink {
    return countingSink(this.#changeLog.sinkFor(source), (collection, events) =>
      this.#metrics.received(source, collection, events),
    );
  }

  #disconnectRevoked({ keyId, tenant }: Revoked): void {
    this.#connections.endWhere(
      (connection) => connection.keyId === keyId || connection.tenant === tenant,
      "revoked",
    );
  }

  #refuseWhileDraining(): void {
    if (this.#draining) throw drainingError();
  }

  /** Streams are told to come back, requests under way are answered; then what is left is cut. */
  async #drain(app: FastifyInstance, webSockets: WebSocketEndpoint): Promise<void> {
    this.#draining = true;
    this.#connections.drain();
    let cut: NodeJS.Timeout | undefined;
    const isCut = new Promise<void>((resolve) => {
      cut = setTimeout(() => {
        webSockets.close();
        app.server.closeAllConnections();
        resolve();
      }, this.#config.connections.drainTimeoutMs);
    });
    await app.close();
    // The HTTP server has forgotten the connections of streams, which end themselves in the same time.
    await Promise.race([this.#connections.untilEmpty(), isCut]);
    clearTimeout(cut);
    webSockets.close();
  }

  #abandon(error: Error): void {
    this.#log.fatal({ err: error }, "another server has taken over the data folder");
    process.exitCode = 1;
    this.#abandonedFor = error;
    void closeOrLog(this.#closers, this.#log);
  }
}

/** Where something else is told already. */
async function closeOrLog(closers: Closers, log: Logger): Promise<void> {
  try {
    await closers.close();
  } catch (error) {
    log.error({ err: error }, "not everything was closed in order");
  }
}

/** Only where changes of the embedded database are delivered: a table that nobody can watch is no demo. */
function hasDemo({ sources, tenantsUrl }: Config): boolean {
  return tenantsUrl === "embedded" && sources.some(({ url }) => url === "embedded");
}

function planOf(plans: Config["plans"], name: string): PlanConfig | undefined {
  const byName: Readonly<Record<string, PlanConfig>> = plans;
  return Object.hasOwn(byName, name) ? byName[name] : undefined;
}
