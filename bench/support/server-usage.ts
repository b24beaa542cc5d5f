import { setTimeout as delay } from "node:timers/promises";

const GONE_WITHIN_MS = 30_000;
const POLL_INTERVAL_MS = 20;

/** What the server says at `/metrics` that it has open now. */
export interface ServerUsage {
  readonly connections: number;
  readonly subscriptions: number;
}

/** Asks the server at this address. */
export async function fetchServerUsage(url: string): Promise<ServerUsage> {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  return {
    connections: valueOf(text, "paperdb_connections"),
    subscriptions: valueOf(text, "paperdb_subscriptions"),
  };
}

/** Resolves once the server has seen that all but so many of its clients are gone. */
export async function untilConnections(url: string, atMost: number): Promise<void> {
  const deadline = Date.now() + GONE_WITHIN_MS;
  while ((await fetchServerUsage(url)).connections > atMost) {
    if (Date.now() > deadline) throw new Error("The server still has connections of clients that are gone.");
    await delay(POLL_INTERVAL_MS);
  }
}

function valueOf(metrics: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)`, "m").exec(metrics)?.[1];
  if (value === undefined) throw new Error(`The server's metrics have no ${name}.`);
  return Number(value);
}
