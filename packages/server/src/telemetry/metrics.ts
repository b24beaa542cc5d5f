import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { HubObserver } from "../hub/hub-observer.ts";
import { TOPICS, type SourceEvent } from "../source/change-source.ts";
import { collectProcessMetrics } from "./process-metrics.ts";
import { Tally } from "./tally.ts";

/** What is read off the server at each scrape. */
export interface Gauges {
  readonly connections: () => number;
  readonly subscriptions: () => number;
  readonly channels: () => number;
  readonly historyEvents: () => number;
  readonly historyBytes: () => number;
  /** Snapshots that are being read, that wait for their turn, and the bytes that were read and not yet taken. */
  readonly snapshots: () => { readonly reading: number; readonly waiting: number; readonly bytes: number };
  /** Each source by name: whether it is live, and its own figures. */
  readonly sources: () => readonly SourceFigures[];
}

/** One source at the moment. */
export interface SourceFigures {
  readonly name: string;
  readonly live: boolean;
  /** Share of the database's notification queue that is in use, 0 to 1, where it has one. */
  readonly queueUsage?: number | undefined;
  /** Notifications or logical messages that were none of ours, since the start. */
  readonly ignored?: number;
  /** How far the replication slot is behind the end of the write-ahead log, where there is one. */
  readonly slotLagBytes?: number | undefined;
  /** How much of the write-ahead log the database keeps for it. */
  readonly slotKeptBytes?: number | undefined;
  /** How often the replication slot was lost since the start. */
  readonly slotsLost?: number;
  /** Collections in use whose deletes are not delivered, where that can happen. */
  readonly collectionsWithoutDeletes?: number;
}

const LATENCY_BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * The server's Prometheus metrics. Labels are sources, collections and
 * reasons, which are few; never tenants, keys or topics.
 */
export class Metrics implements HubObserver {
  readonly registry = new Registry();
  readonly #eventsIn: Counter<"source" | "collection">;
  readonly #eventsOut: Counter<"source" | "collection">;
  readonly #latency: Histogram;
  readonly #resets: Counter<"reason">;
  readonly #slowConsumers: Counter;
  readonly #connectionsOpened: Counter;
  readonly #webSocketsClosed: Counter<"reason">;
  readonly #received = new Tally();
  readonly #delivered = new Tally();

  constructor(gauges: Gauges) {
    const registers = [this.registry];
    collectProcessMetrics(this.registry);
    this.#eventsIn = new Counter({
      name: "paperdb_events_in_total",
      help: "Events received for channels that are in use, by source and collection",
      labelNames: ["source", "collection"],
      registers,
      collect: () => this.#received.moveTo(this.#eventsIn, labelOf),
    });
    this.#eventsOut = new Counter({
      name: "paperdb_events_out_total",
      help: "Events written to subscriptions, by source and collection",
      labelNames: ["source", "collection"],
      registers,
      collect: () => this.#delivered.moveTo(this.#eventsOut, labelOf),
    });
    this.#latency = new Histogram({
      name: "paperdb_commit_to_send_seconds",
      help: "From the change in the database (its trigger's clock) until it was written to the channel's subscriptions",
      buckets: LATENCY_BUCKETS_SECONDS,
      registers,
    });
    this.#resets = new Counter({
      name: "paperdb_resets_total",
      help: "Subscriptions that were reset, by reason",
      labelNames: ["reason"],
      registers,
    });
    this.#slowConsumers = new Counter({
      name: "paperdb_slow_consumers_total",
      help: "Subscriptions that were ended because their peer did not read",
      registers,
    });
    this.#connectionsOpened = new Counter({
      name: "paperdb_connections_opened_total",
      help: "Connections that were accepted",
      registers,
    });
    this.#webSocketsClosed = new Counter({
      name: "paperdb_websockets_closed_total",
      help: "WebSockets that the server has closed, by reason",
      labelNames: ["reason"],
      registers,
    });
    gauge(registers, "paperdb_connections", "Connections that are open", gauges.connections);
    gauge(registers, "paperdb_subscriptions", "Subscriptions that are open", gauges.subscriptions);
    gauge(registers, "paperdb_channels", "Channels in use, those that linger included", gauges.channels);
    gauge(registers, "paperdb_history_events", "Events kept for resuming", gauges.historyEvents);
    gauge(registers, "paperdb_history_bytes", "Bytes kept for resuming", gauges.historyBytes);
    const { snapshots } = gauges;
    gauge(registers, "paperdb_snapshots_reading", "Snapshots that are being read", () => snapshots().reading);
    gauge(
      registers,
      "paperdb_snapshots_waiting",
      "Snapshots that wait for their turn",
      () => snapshots().waiting,
    );
    gauge(
      registers,
      "paperdb_snapshot_bytes",
      "Bytes of snapshots that clients have not taken yet",
      () => snapshots().bytes,
    );
    registerSourceGauges(registers, gauges);
  }

  connectionOpened(): void {
    this.#connectionsOpened.inc();
  }

  /** The server has closed a WebSocket. */
  webSocketClosed(reason: string): void {
    this.#webSocketsClosed.inc({ reason });
  }

  /** Events came in from a source. */
  received(source: string, collection: string, count: number): void {
    this.#received.add(source, collection, count);
  }

  delivered(source: string, collection: string, count: number): void {
    this.#delivered.add(source, collection, count);
  }

  offered({ committedAtMs }: SourceEvent): void {
    if (committedAtMs === undefined) return;
    this.#latency.observe(Math.max(0, (Date.now() - committedAtMs) / 1000));
  }

  reset(reason: string): void {
    this.#resets.inc({ reason });
  }

  slowConsumer(): void {
    this.#slowConsumers.inc();
  }
}

function labelOf(collection: string): string {
  return collection === TOPICS ? "(topics)" : collection;
}

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  const instance: Gauge = new Gauge({ name, help, registers, collect: () => instance.set(read()) });
}

function registerSourceGauges(registers: Registry[], gauges: Gauges): void {
  const perSource = (
    name: string,
    help: string,
    read: (figures: SourceFigures) => number | undefined,
  ): void => {
    const instance: Gauge<"source"> = new Gauge({
      name,
      help,
      labelNames: ["source"],
      registers,
      collect: () => {
        for (const figures of gauges.sources()) {
          const value = read(figures);
          if (value !== undefined) instance.set({ source: figures.name }, value);
        }
      },
    });
  };
  perSource("paperdb_source_live", "Whether changes arrive (1) or not (0)", ({ live }) => (live ? 1 : 0));
  perSource(
    "paperdb_notification_queue_usage",
    "Share of PostgreSQL's notification queue in use, 0 to 1",
    ({ queueUsage }) => queueUsage,
  );
  perSource(
    "paperdb_notifications_ignored",
    "Notifications on flc_rt_* channels, or logical messages with our prefix, that were none of ours",
    ({ ignored }) => ignored,
  );
  perSource(
    "paperdb_replication_slot_lag_bytes",
    "How far the replication slot is behind the end of the write-ahead log",
    ({ slotLagBytes }) => slotLagBytes,
  );
  perSource(
    "paperdb_replication_slot_kept_bytes",
    "How much of the write-ahead log the database keeps for the replication slot",
    ({ slotKeptBytes }) => slotKeptBytes,
  );
  perSource(
    "paperdb_replication_slots_lost",
    "How often the replication slot was lost, and everybody was reset, since the start",
    ({ slotsLost }) => slotsLost,
  );
  perSource(
    "paperdb_collections_without_deletes",
    "MongoDB collections in use whose deletes are not delivered, for want of pre-images",
    ({ collectionsWithoutDeletes }) => collectionsWithoutDeletes,
  );
}
