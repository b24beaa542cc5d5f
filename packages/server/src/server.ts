import type { Logger } from "pino";
import { Closers } from "./closers.ts";
import type { Config } from "./config/load-config.ts";
import { openDatabases } from "./databases.ts";
import { Endpoints } from "./endpoints.ts";
import { listen, requireFreePort } from "./http/listen.ts";
import { openAccess, type Access } from "./open-access.ts";
import { openSources, type RunningSource } from "./open-sources.ts";
import { Pipeline } from "./pipeline.ts";
import { createLogger } from "./telemetry/logger.ts";
import { createDemo, type Demo } from "./tenants/demo.ts";
import { openTenantDatabase } from "./tenants/tenant-database.ts";
import type { TenantStore } from "./tenants/tenant-store.ts";

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
  readonly #pipeline: Pipeline;
  /** Why all was closed, perhaps during the start; undefined while it was not. */
  #abandonedFor: Error | undefined;

  constructor(config: Config, log: Logger, closers: Closers) {
    this.#config = config;
    this.#log = log;
    this.#closers = closers;
    this.#pipeline = new Pipeline(config, log);
    closers.add(() => this.#pipeline.close());
  }

  async start(): Promise<RunningServer> {
    const config = this.#config;
    const log = this.#log;
    const pipeline = this.#pipeline;
    await requireFreePort(config.host, config.port);
    const databases = await openDatabases(config, log, (error) => this.#abandon(error));
    this.#closers.add(() => databases.close());
    const { tenantsUrl: databaseUrl } = databases;
    const tenants = await openTenantDatabase({ url: databaseUrl, log });
    this.#closers.add(() => tenants.close());
    const demo = hasDemo(config) ? await createDemo(tenants.pool) : undefined;
    pipeline.sources = await this.#openSources(databases.urls);
    const { store } = tenants;
    const access = await this.#openAccess(databaseUrl, store);
    const endpoints = await Endpoints.create({ config, log, pipeline, access, store });
    this.#closers.add(() => endpoints.drain());
    const url = await listen(endpoints.app, config.host, config.port);
    if (this.#abandonedFor !== undefined) throw this.#abandonedFor;
    return { url, databaseUrl, demo, close: () => this.#closers.close() };
  }

  #openSources(urls: readonly string[]): Promise<readonly RunningSource[]> {
    const { bus } = this.#pipeline;
    return openSources({
      config: this.#config,
      urls,
      sinkFor: (name) => this.#pipeline.sinkFor(name),
      topics: {
        publish: (tenant, topic, data) => bus.publish(tenant, { topic, data }),
        lost: (reason) => bus.lost(reason),
      },
      log: this.#log,
      onClose: (close) => this.#closers.add(close),
    });
  }

  #openAccess(url: string, store: TenantStore): Promise<Access> {
    return openAccess({
      config: this.#config,
      log: this.#log,
      url,
      store,
      liveKeys: () => this.#pipeline.connections.accesses(),
      onRevoked: (revoked) => this.#pipeline.disconnectRevoked(revoked),
      onClose: (close) => this.#closers.add(close),
    });
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
