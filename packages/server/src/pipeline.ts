import type { Logger } from "pino";
import { TokenExpiries } from "./auth/token-expiries.ts";
import { EVENT_BUS, EventBus } from "./bus/event-bus.ts";
import type { Config } from "./config/load-config.ts";
import { Hub } from "./hub/hub.ts";
import { MemoryLog } from "./log/memory/memory-log.ts";
import type { RunningSource } from "./open-sources.ts";
import { SnapshotReads } from "./snapshot/snapshot-reads.ts";
import type { ChangeSink } from "./source/change-source.ts";
import { SourceDirectory } from "./source/source-directory.ts";
import { countingSink } from "./telemetry/counting-sink.ts";
import { Metrics } from "./telemetry/metrics.ts";
import type { Revoked } from "./tenants/grant-watcher.ts";
import { BlockCompressor } from "./transport/compression/block-compressor.ts";
import { ConnectionRegistry } from "./transport/connection-registry.ts";
import { OpeningTurns } from "./transport/opening-turns.ts";

/** What lies between the sources and the transports, and what connections of all transports share. */
export class Pipeline {
  readonly connections: ConnectionRegistry;
  readonly openings: OpeningTurns = new OpeningTurns();
  readonly expiries: TokenExpiries;
  readonly metrics: Metrics;
  readonly hub: Hub;
  readonly bus: EventBus;
  /** Undefined: nothing is compressed. */
  readonly compressor: BlockCompressor | undefined;
  /** Those that are open. */
  sources: readonly RunningSource[] = [];
  readonly #changeLog: MemoryLog;
  readonly #snapshots: SnapshotReads;

  constructor(config: Config, log: Logger) {
    const { compression, connections, filters, history, snapshots, snapshotTimeoutMs } = config;
    this.#changeLog = new MemoryLog(history);
    this.connections = new ConnectionRegistry(connections.maxTotal);
    this.expiries = new TokenExpiries((error) =>
      log.error({ err: error }, "a connection did not end with its token"),
    );
    this.metrics = this.#createMetrics();
    this.#snapshots = new SnapshotReads({ ...snapshots, timeoutMs: snapshotTimeoutMs });
    const { maxTriedComparisons } = filters;
    this.hub = new Hub(
      this.#changeLog,
      { ...connections, ...history, maxTriedComparisons },
      this.metrics,
      this.#snapshots,
    );
    this.bus = new EventBus(this.sinkFor(EVENT_BUS));
    if (compression.enabled) this.compressor = new BlockCompressor(compression);
  }

  /** Where the source of this name pushes its changes. */
  sinkFor(source: string): ChangeSink {
    return countingSink(this.#changeLog.sinkFor(source), (collection, events) =>
      this.metrics.received(source, collection, events),
    );
  }

  /** The collections of the sources that are open now. */
  directory(): SourceDirectory {
    return new SourceDirectory(this.sources.map(({ source }) => source));
  }

  /** Ends the connections of a key, or of a tenant, that may not have them any more. */
  disconnectRevoked({ keyId, tenant }: Revoked): void {
    this.connections.endWhere(
      (connection) => connection.keyId === keyId || connection.tenant === tenant,
      "revoked",
    );
  }

  close(): void {
    this.hub.close();
    this.#changeLog.stop();
    this.expiries.close();
  }

  #createMetrics(): Metrics {
    return new Metrics({
      connections: () => this.connections.size,
      subscriptions: () => this.hub.subscriptionCount,
      channels: () => this.hub.channelCount,
      historyEvents: () => this.#changeLog.stats().events,
      historyBytes: () => this.#changeLog.stats().bytes,
      snapshots: () => this.#snapshots.stats(),
      sources: () => this.sources.map((running) => running.figures()),
    });
  }
}
