import { collectDefaultMetrics, type Registry } from "prom-client";

/** Of the library's metrics, those that list every open connection at each scrape. */
const COSTLY_METRICS = [
  "process_open_fds",
  "nodejs_active_resources",
  "nodejs_active_resources_total",
  "nodejs_active_handles",
  "nodejs_active_handles_total",
  "nodejs_active_requests",
  "nodejs_active_requests_total",
];
/** And those of a timer that by default wakes the process a hundred times a second, which is most of what an idle server does. */
const SAMPLED_METRICS = ["min", "max", "mean", "stddev", "p50", "p90", "p99"].map(
  (figure) => `nodejs_eventloop_lag_${figure}_seconds`,
);
/** The timer cannot be left out. It runs so seldom that what it sees says nothing. */
const SAMPLE_INTERVAL_MS = 60_000;

/** Memory, CPU and garbage collection of the process, which cost nothing between scrapes. */
export function collectProcessMetrics(register: Registry): void {
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: SAMPLE_INTERVAL_MS });
  for (const name of [...COSTLY_METRICS, ...SAMPLED_METRICS]) register.removeSingleMetric(name);
}
