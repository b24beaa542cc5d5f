import type { FanOutServer } from "./fan-out-server.ts";
import { asFanOutServer } from "./fan-out-ours.ts";
import { InspectedServer } from "./inspected-server.ts";
import { LoadGenerator } from "./load-generator.ts";
import { COLLECTIONS, COLLECTIONS_SQL, createPopulation } from "./population.ts";
import { cpuSecondsOf } from "./process-usage.ts";
import { RowProbe } from "./row-probe.ts";
import { runSql } from "./run-sql.ts";
import { type ServerProcessOptions, sourceConfig } from "./server-process.ts";
import { createTenant } from "./tenant.ts";

const TEN_MINUTES_MS = 600_000;
const CONFIG = {
  ...sourceConfig("wal"),
  // So that they are not in what is measured.
  connections: { heartbeatIntervalMs: TEN_MINUTES_MS },
  websocket: { peerTimeoutMs: 3 * TEN_MINUTES_MS },
};

/** The server under test with many subscriptions, and two that get events: one of the event bus, one of rows. */
export class SubscribedServer {
  readonly #server: InspectedServer;
  readonly #load: LoadGenerator;
  readonly #probe: FanOutServer;
  readonly #rows: RowProbe;
  subscriptions = 0;
  channels = 0;
  connections = 0;

  private constructor(server: InspectedServer, load: LoadGenerator, probe: FanOutServer, rows: RowProbe) {
    this.#server = server;
    this.#load = load;
    this.#probe = probe;
    this.#rows = rows;
  }

  static async start(
    options: Pick<ServerProcessOptions, "profileDir"> & { readonly core: number | undefined },
  ): Promise<SubscribedServer> {
    const server = await InspectedServer.start({ ...options, config: CONFIG });
    try {
      await runSql(server.process.databaseUrl, COLLECTIONS_SQL);
      const tenant = await createTenant(server.process, "probe");
      const load = await LoadGenerator.start({ core: undefined });
      const probe = await asFanOutServer(server.process, tenant, "sse");
      await load.open("probe", probe, { connections: 1 });
      const rows = await RowProbe.open(server.process, tenant, COLLECTIONS[0] ?? "");
      return new SubscribedServer(server, load, probe, rows);
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Opens the population, besides the two. @returns what a subscription takes, in bytes. */
  async open(
    size: Parameters<typeof createPopulation>[1],
  ): Promise<{ readonly heapPerSubscription: number; readonly residentPerSubscription: number }> {
    const population = await createPopulation(this.#server.process, size);
    const { light, heavy, subscriptions, channels } = population;
    this.subscriptions = subscriptions;
    this.channels = channels;
    this.connections = light.length + heavy.length;
    const start = await this.#server.fetchHeld();
    await this.#load.open("light", this.#probe, { connections: light.length, greetings: light });
    const between = await this.#server.fetchHeld();
    await this.#load.open("heavy", this.#probe, { connections: heavy.length, greetings: heavy });
    const end = await this.#server.fetchHeld();
    // The second half has as many connections, and all the further subscriptions.
    const further = subscriptions - 2 * light.length;
    const each = (name: "heapUsedBytes" | "residentBytes"): number =>
      (end[name] - between[name] - (between[name] - start[name])) / further;
    return { heapPerSubscription: each("heapUsedBytes"), residentPerSubscription: each("residentBytes") };
  }

  fetchCpuSeconds(): Promise<number> {
    return cpuSecondsOf([this.#server.process.pid]);
  }

  /** Publishes at an even pace to the one subscriber. @returns seconds. */
  async publish(events: number, perSecond: number): Promise<number> {
    const { delivered, seconds } = await this.#load.run("probe", { events, perSecond });
    if (delivered !== events)
      throw new Error(`${events - delivered} events did not reach their only subscriber.`);
    return seconds;
  }

  /** Writes rows at an even pace for the one subscriber. @returns seconds. */
  async writeRows(rows: number, perSecond: number): Promise<number> {
    const startedAtMs = performance.now();
    await this.#rows.write(rows, perSecond);
    return (performance.now() - startedAtMs) / 1000;
  }

  async close(): Promise<void> {
    await this.#load.close();
    await this.#rows.close();
    await this.#server.close();
  }
}
