import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Grant } from "./auth/grant.ts";
import { IdempotencyKeys } from "./bus/idempotency.ts";
import { PublishRate } from "./bus/publish-rate.ts";
import type { Config, PlanConfig } from "./config/load-config.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { adminRoutes } from "./http/admin/admin-routes.ts";
import { createHttpServer } from "./http/http-server.ts";
import { operationsRoutes, type Readiness } from "./http/operations-routes.ts";
import { publishRoute } from "./http/publish-route.ts";
import { tokenRoute } from "./http/token-route.ts";
import type { Access } from "./open-access.ts";
import type { Pipeline } from "./pipeline.ts";
import type { TenantStore } from "./tenants/tenant-store.ts";
import { drainingError } from "./transport/connection-registry.ts";
import { gzipSse } from "./transport/sse/sse-encoding.ts";
import { subscribeRoute } from "./transport/sse/subscribe-route.ts";
import { WebSocketEndpoint } from "./transport/websocket/websocket-endpoint.ts";
import { VERSION } from "./version.ts";

/** What clients' requests are answered with. */
export interface EndpointsContext {
  readonly config: Config;
  readonly log: Logger;
  readonly pipeline: Pipeline;
  readonly access: Access;
  readonly store: TenantStore;
}

/** All that clients can ask for: the HTTP routes, and WebSockets on the same port. */
export class Endpoints {
  readonly #context: EndpointsContext;
  readonly #app: FastifyInstance;
  readonly #webSockets: WebSocketEndpoint;
  #draining = false;

  private constructor(context: EndpointsContext, app: FastifyInstance, adminKey: string) {
    this.#context = context;
    this.#app = app;
    // Kept open, a connection would hold up the end.
    app.addHook("onSend", (_request, reply, _payload, done) => {
      if (this.#draining) reply.header("connection", "close");
      done();
    });
    this.#addSubscribe();
    this.#addPublish();
    this.#addToken();
    this.#addAdmin(adminKey);
    this.#addOperations();
    this.#webSockets = this.#openWebSockets();
  }

  /** Makes everything ready to be listened with. */
  static async create(context: EndpointsContext): Promise<Endpoints> {
    const { adminKey, cors, dataDir } = context.config;
    const app = await createHttpServer({ corsOrigins: cors.origins, version: VERSION, log: context.log });
    return new Endpoints(context, app, adminKey ?? (await readOrCreateSecret(dataDir, "admin-key")));
  }

  /** What listens. */
  get app(): FastifyInstance {
    return this.#app;
  }

  /** Streams are told to come back, requests under way are answered; then what is left is cut. */
  async drain(): Promise<void> {
    const { connections } = this.#context.pipeline;
    this.#draining = true;
    connections.drain();
    let cut: NodeJS.Timeout | undefined;
    const isCut = new Promise<void>((resolve) => {
      cut = setTimeout(() => {
        this.#webSockets.close();
        this.#app.server.closeAllConnections();
        resolve();
      }, this.#context.config.connections.drainTimeoutMs);
    });
    await this.#app.close();
    // The HTTP server has forgotten the connections of streams, which end themselves in the same time.
    await Promise.race([connections.untilEmpty(), isCut]);
    clearTimeout(cut);
    this.#webSockets.close();
  }

  #addSubscribe(): void {
    const { bus, compressor, connections, expiries, hub, metrics, openings } = this.#context.pipeline;
    const { drainTimeoutMs, writeTimeoutMs } = this.#context.config.connections;
    subscribeRoute(this.#app, {
      hub,
      directory: this.#context.pipeline.directory(),
      bus,
      filterLimits: this.#context.config.filters,
      connections,
      openings,
      expiries,
      gzip: compressor && gzipSse(compressor),
      open: {
        hub,
        closeTimeoutMs: drainTimeoutMs,
        onClosed: (client) => {
          expiries.delete(client);
          connections.delete(client);
        },
      },
      writeTimeoutMs,
      authorize: async (request) => this.#authorize(request, true),
      onOpened: () => metrics.connectionOpened(),
      maxConnections: (grant) => this.#planOf(grant)?.maxConnections ?? 0,
    });
  }

  #addPublish(): void {
    const { publish } = this.#context.config;
    const rate = new PublishRate();
    publishRoute(this.#app, {
      bus: this.#context.pipeline.bus,
      idempotency: new IdempotencyKeys(publish),
      maxBodyBytes: publish.maxBodyBytes,
      authorize: (request) => this.#authorize(request, false),
      takePublish: (grant) => rate.take(grant.tenant, this.#planOf(grant)?.publishesPerSecond),
    });
  }

  #addToken(): void {
    const { access, config, pipeline } = this.#context;
    tokenRoute(this.#app, {
      tokens: access.tokens,
      directory: pipeline.directory(),
      maxGrants: config.tokens.maxGrants,
      filterLimits: config.filters,
      authorize: (request) => this.#authorize(request, false),
      maxTokenSeconds: (grant) => this.#planOf(grant)?.maxTokenSeconds ?? 1,
    });
  }

  #addAdmin(adminKey: string): void {
    const { config, pipeline, store } = this.#context;
    adminRoutes(this.#app, {
      store,
      adminKey,
      filterLimits: config.filters,
      connections: {
        list: () => pipeline.connections.list(),
        end: (id) => pipeline.connections.end(id, "admin"),
      },
    });
  }

  #addOperations(): void {
    const { registry } = this.#context.pipeline.metrics;
    operationsRoutes(this.#app, {
      readiness: () => this.#readiness(),
      metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    });
  }

  #openWebSockets(): WebSocketEndpoint {
    const { access, config, pipeline } = this.#context;
    const { bus, compressor, connections, expiries, hub, metrics, openings } = pipeline;
    return new WebSocketEndpoint(this.#app, {
      channels: { hub, directory: pipeline.directory(), bus },
      filterLimits: config.filters,
      connections,
      openings,
      expiries,
      settings: { ...config.connections, ...config.websocket },
      compressor,
      origins: config.cors.origins,
      authenticateToken: async (token) => {
        this.#refuseWhileDraining();
        return access.authenticateToken(token);
      },
      onOpened: () => metrics.connectionOpened(),
      onClosing: (reason) => metrics.webSocketClosed(reason),
      maxConnections: (grant) => this.#planOf(grant)?.maxConnections ?? 0,
    });
  }

  #authorize(request: FastifyRequest, allowQuery: boolean): Grant | Promise<Grant> {
    this.#refuseWhileDraining();
    return this.#context.access.authorize(request, allowQuery);
  }

  #refuseWhileDraining(): void {
    if (this.#draining) throw drainingError();
  }

  #readiness(): readonly Readiness[] {
    const { sources } = this.#context.pipeline;
    const states = sources.map(({ source }) => ({ name: source.name, state: source.state() }));
    if (!this.#draining) return states;
    const state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1000 } as const;
    return [...states, { name: "server", state }];
  }

  #planOf({ plan }: Pick<Grant, "plan">): PlanConfig | undefined {
    const plans: Readonly<Record<string, PlanConfig>> = this.#context.config.plans;
    return Object.hasOwn(plans, plan) ? plans[plan] : undefined;
  }
}
