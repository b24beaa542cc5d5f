import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, type Table } from "./support/markdown-table.ts";
import { ServerProcess } from "./support/server-process.ts";
import { fetchServerUsage, type ServerUsage } from "./support/server-usage.ts";
import { median } from "./support/statistics.ts";
import { Subscribers } from "./support/subscribers.ts";
import { createTenant } from "./support/tenant.ts";

const CONNECTIONS = 5000;
const WARM_UP_CONNECTIONS = 50;
const FILES_BESIDE_CONNECTIONS = 200;
/** Longer than the interval of heartbeats, so that each connection had one. */
const IDLE_MS = 20_000;
const SAMPLES = 5;
const SAMPLE_INTERVAL_MS = 500;

/** What an SSE connection costs that has nothing to do. */
export const idleMemory: Benchmark = { name: "memory", title: "Idle connections", run };

async function run({ short, machine, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const connections = short ? CONNECTIONS / 5 : CONNECTIONS;
  if (machine.maxOpenFiles < connections + FILES_BESIDE_CONNECTIONS) {
    throw new Error(`Idle connections need more open files: run "ulimit -n ${CONNECTIONS * 2}" first.`);
  }
  const server = await ServerProcess.start({ profileDir });
  const subscribers = new Subscribers();
  try {
    const { anonKey: key } = await createTenant(server, "bench");
    const subject = { collection: "todos" };
    await subscribers.open("warm-up", server, { key, subject, connections: WARM_UP_CONNECTIONS });
    await subscribers.closeGroup("warm-up");
    const before = await sampleUsage(server);
    progress(`opening ${connections} connections`);
    await subscribers.open("idle", server, { key, subject, connections });
    const opened = await fetchServerUsage(server.url);
    progress(`idle for ${IDLE_MS / 1000} s`);
    await delay(IDLE_MS);
    const idled = await fetchServerUsage(server.url);
    if (idled.connections !== connections) {
      throw new Error(`${idled.connections} connections are open, not ${connections}.`);
    }
    const after = await sampleUsage(server);
    const cpuShare = (idled.cpuSeconds - opened.cpuSeconds) / (IDLE_MS / 1000);
    return { table: tableOf(connections, before, after, cpuShare), notes: NOTES };
  } finally {
    await subscribers.close();
    await server.stop();
  }
}

const NOTES = [
  `Server process only, from \`/metrics\` before and ${IDLE_MS / 1000} s after: resident memory as the median of ${SAMPLES} samples, heap as the least ` +
    `of them (garbage comes and goes); after ${WARM_UP_CONNECTIONS} connections opened and closed to warm up. The kernel's socket buffers are not in it. ` +
    "CPU includes heartbeats, one per connection every 15 s.",
];

interface Memory {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
}

async function sampleUsage({ url }: ServerProcess): Promise<Memory> {
  const samples: ServerUsage[] = [];
  while (samples.length < SAMPLES) {
    await delay(SAMPLE_INTERVAL_MS);
    samples.push(await fetchServerUsage(url));
  }
  return {
    residentBytes: median(samples.map(({ residentBytes }) => residentBytes)),
    heapUsedBytes: Math.min(...samples.map(({ heapUsedBytes }) => heapUsedBytes)),
  };
}

function tableOf(connections: number, before: Memory, after: Memory, cpuShare: number): Table {
  const row = (title: string, from: number, to: number): string[] => [
    title,
    `${figure(from / 1024 ** 2)} MiB`,
    `${figure(to / 1024 ** 2)} MiB`,
    `${figure((to - from) / connections / 1024)} KiB`,
  ];
  return {
    head: ["", "0 connections", `${connections.toLocaleString("en-US")} idle connections`, "each"],
    rows: [
      row("resident memory", before.residentBytes, after.residentBytes),
      row("JavaScript heap used", before.heapUsedBytes, after.heapUsedBytes),
      ["CPU of one core", "", `${figure(cpuShare * 100)} %`, ""],
    ],
  };
}
