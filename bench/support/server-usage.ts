/** What the server says about itself at `/metrics`. */
export interface ServerUsage {
  /** User and system, all threads, since its start. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Open now. */
  readonly connections: number;
  readonly subscriptions: number;
}

/** Reads the usage of the server at this address. */
export async function fetchServerUsage(url: string): Promise<ServerUsage> {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  return {
    cpuSeconds: valueOf(text, "process_cpu_seconds_total"),
    residentBytes: valueOf(text, "process_resident_memory_bytes"),
    heapUsedBytes: valueOf(text, "nodejs_heap_size_used_bytes"),
    connections: valueOf(text, "paperdb_connections"),
    subscriptions: valueOf(text, "paperdb_subscriptions"),
  };
}

function valueOf(metrics: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)`, "m").exec(metrics)?.[1];
  if (value === undefined) throw new Error(`The server's metrics have no ${name}.`);
  return Number(value);
}
