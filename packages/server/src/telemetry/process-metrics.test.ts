import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { collectProcessMetrics } from "./process-metrics.ts";

it("tells what the process takes, without looking at each connection", async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const text = await registry.metrics();
  for (const name of [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "nodejs_heap_size_used_bytes",
    "nodejs_eventloop_lag_seconds",
  ]) {
    expect(text).toMatch(new RegExp(`^${name} \\d`, "m"));
  }
  expect(text).not.toMatch(/open_fds |_active_|lag_p99/);
});
