import type { FastifyInstance, FastifyRequest } from "fastify";
import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import { extractKey } from "./auth/extract-key.ts";
import type { Grant } from "./auth/grant.ts";
import { KeyAuthenticator } from "./auth/key-authenticator.ts";
import { requireRealtime } from "./auth/plans.ts";
import { EVENT_BUS, EventBus } from "./bus/event-bus.ts";
import { IdempotencyKeys } from "./bus/idempotency.ts";
import { PublishRate } from "./bus/publish-rate.ts";
import type { Config, PlanConfig } from "./config/load-config.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { openDatabases } from "./databases.ts";
import { adminRoutes } from "./http/admin/admin-routes.ts";
import { createHttpServer } from "./http/http-server.ts";
import { listen, requireFreePort } from "./http/listen.ts";
import { operationsRoutes, type Readiness } from "./http/operations-routes.ts";
import { publishRoute } from "./http/publish-route.ts";
import { Hub } from "./hub/hub.ts";
import { MemoryLog } from "./log/memory/memory-log.ts";
import { openSources, type RunningSource } from "./open-sources.ts";
import type { ChangeSink } from "./source/change-source.ts";
import { SnapshotReads } from "./snapshot/snapshot-reads.ts";
import { SourceDirectory } from "./source/source-directory.ts";
import { countingSink } from "./telemetry/counting-sink.ts";
import { createLogger } from "./telemetry/logger.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { createDemo, type Demo } from "./tenants/demo.ts";
import { GrantWatcher, type Revoked } from "./tenants/grant-watcher.ts";
import { openTenantDatabase, type TenantDatabase } from "./tenants/tenant-database.ts";
import { ConnectionRegistry } from "./transport/connection-registry.ts";
import { subscribeRoute } from "./transport/sse/subscribe-route.ts";
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
    await closers.close();
    throw error;
  }
}

/** What has to be closed, last opened first. */
class Closers {
  readonly #closers: (() => void | Promise<void>)[] = [];

  add(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) await close();
  }
}

/** Wires the stages. */
class Composition {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #closers: Closers;
  readonly #changeLog: MemoryLog;
  readonly #connections: ConnectionRegistry;
  readonly #metrics: Metrics;
  readonly #hub: Hub;
  readonly #bus: EventBus;
  #sources: readonly RunningSource[] = [];
  #draining = false;

  constructor(config: Config, log: Logger, closers: Closers) {
    this.#config = config;
    this.#log = log;
    this.#closers = closers;
    this.#changeLog = new MemoryLog(config.history);
    this.#connections = new ConnectionRegistry(config.connections.maxTotal);
    this.#metrics = this.#createMetrics();
    this.#hub = new Hub(
      this.#changeLog,
      { ...config.connections, ...config.history },
      this.#metrics,
      new SnapshotReads({ ...config.snapshots, timeoutMs: config.snapshotTimeoutMs }),
    );
    this.#bus = new EventBus(this.#sinkFor(EVENT_BUS));
    closers.add(() => {
      this.#hub.close();
      this.#changeLog.stop();
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
    const authenticator = await this.#openAuthenticator(databaseUrl, tenants);
    const app = await this.#createApp(authenticator, tenants);
    this.#closers.add(() => this.#drain(app));
    const url = await listen(app, this.#config.host, this.#config.port);
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

  async #openAuthenticator(url: string, { store }: TenantDatabase): Promise<KeyAuthenticator> {
    const { keyCacheMs, maxCachedKeys, plans } = this.#config;
    const authenticator = new KeyAuthenticator({ store, keyCacheMs, maxCachedKeys });
    const watcher = new GrantWatcher({
      url,
      log: this.#log,
      store,
      authenticator,
      plans,
      liveKeys: () => this.#connections.list(),
      onRevoked: (revoked) => this.#disconnectRevoked(revoked),
    });
    this.#closers.add(() => watcher.close());
    await watcher.open();
    return authenticator;
  }

  async #createApp(authenticator: KeyAuthenticator, { store }: TenantDatabase): Promise<FastifyInstance> {
    const { cors, plans, publish, dataDir } = this.#config;
    const app = await createHttpServer({ corsOrigins: cors.origins, version: VERSION, log: this.#log });
    const authorize = async (request: FastifyRequest, allowQuery: boolean): Promise<Grant> => {
      this.#refuseWhileDraining();
      const keyText = extractKey({ headers: request.headers, queryKey: queryKeyOf(request), allowQuery });
      const grant = await authenticator.authenticate(keyText);
      requireRealtime(grant, plans);
      return grant;
    };
    const rate = new PublishRate();
    subscribeRoute(app, {
      hub: this.#hub,
      directory: new SourceDirectory(this.#sources.map(({ source }) => source)),
      bus: this.#bus,
      connections: this.#connections,
      authorize: (request) => authorize(request, true),
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
    adminRoutes(app, {
      store,
      adminKey: this.#config.adminKey ?? (await readOrCreateSecret(dataDir, "admin-key")),
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
    if (!this.#draining) return;
    throw new RealtimeError("draining", "The server is shutting down: try again.", { retryAfterSeconds: 1 });
  }

  /** Streams are told to come back, requests under way are answered; then what is left is cut. */
  async #drain(app: FastifyInstance): Promise<void> {
    this.#draining = true;
    this.#connections.endWhere(() => true, "draining");
    const cut = setTimeout(() => app.server.closeAllConnections(), this.#config.connections.drainTimeoutMs);
    await app.close();
    clearTimeout(cut);
  }

  #abandon(error: Error): void {
    this.#log.fatal({ err: error }, "another server has taken over the data folder");
    process.exitCode = 1;
    void this.#closers.close();
  }
}

/** Only where changes of the embedded database are delivered: a table that nobody can watch is no demo. */
function hasDemo({ sources, tenantsUrl }: Config): boolean {
  return tenantsUrl === "embedded" && sources.some(({ url }) => url === "embedded");
}

/** Before the query is validated: whether there is a key comes first. */
function queryKeyOf({ query }: FastifyRequest): unknown {
  return typeof query === "object" && query !== null && "apikey" in query ? query.apikey : undefined;
}

function planOf(plans: Config["plans"], name: string): PlanConfig | undefined {
  return new Map<string, PlanConfig>(Object.entries(plans)).get(name);
}
