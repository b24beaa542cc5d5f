import { createServer, type ServerResponse } from "node:http";
import { LogicalReplicationService } from "pg-logical-replication";
import { ReplicationConnection } from "../../packages/server/dist/source/postgres/wal/replication-connection.js";
import { createPeerPlugin } from "./decoders.ts";
import { monotonicMs } from "./clock.ts";
import { listenLocally } from "./listening.ts";
import { serveCalls } from "./worker-process.ts";

/** The calls of a process that reads a slot: as a plain server would, or only to let PostgreSQL send. */
export interface PeerServerCalls {
  [call: string]: (argument: never) => unknown;
  /** Accepts clients, from now on; returns the port. */
  listen(argument: Record<string, never>): Promise<number>;
  /** From now on each row of the slot goes to the clients of `/`, and of its tenant's path, as an event of SSE. */
  deliver(argument: { url: string; slot: string }): Promise<void>;
  /** Reads the slot and throws away what comes, from now on. */
  drop(argument: { url: string; slot: string }): Promise<void>;
  /** When the commit of so many rows was read, on the monotonic clock. */
  untilRead(argument: { rows: number }): Promise<number>;
  /** Ends the reading. */
  stop(argument: Record<string, never>): Promise<void>;
}

const TIMEOUTS = {
  connectTimeoutMs: 10_000,
  statusIntervalMs: 10_000,
  probeTimeoutMs: 30_000,
  senderTimeoutMs: 60_000,
};
const INSERT = 0x49;
const COMMIT = 0x43;

/** By the path that they asked for. */
const clients = new Map<string, Set<ServerResponse>>();
const server = createServer({ requireHostHeader: false }, ({ url = "/" }, response) => {
  // As our server does: the bytes end with the connection.
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("event: ready\ndata: {}\n\n");
  const others = clients.get(url) ?? new Set();
  clients.set(url, others.add(response));
  response.once("close", () => others.delete(response));
});

/** Told of each commit: how many rows have been read until then. */
let onCommit: (rows: number) => void = () => undefined;
let rowsRead = 0;
let end: () => Promise<unknown> = () => Promise.resolve();

const calls: PeerServerCalls = {
  listen: () => listenLocally(server),
  async deliver({ url, slot }) {
    const service = new LogicalReplicationService(
      { connectionString: url },
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    );
    end = () => service.destroy();
    const started = new Promise<void>((resolve) => service.on("start", resolve));
    service.on("error", fail);
    service.on("data", (lsn: string, message: ReturnType<ReturnType<typeof createPeerPlugin>["parse"]>) => {
      if (message.tag !== "insert") return;
      const id = JSON.stringify(message.new["id"]);
      const data = `{"type":"insert","documentId":${id},"document":${JSON.stringify(message.new)}}`;
      send("/", `id: ${lsn}\ndata: ${data}\n\n`);
      send(`/${String(message.new["tenant_id"])}`, `id: ${lsn}\ndata: ${data}\n\n`);
    });
    service.subscribe(createPeerPlugin(), slot).catch(fail);
    await started;
  },
  async drop({ url, slot }) {
    const { signal } = new AbortController();
    const connection = await ReplicationConnection.open({
      url,
      applicationName: "bench",
      ...TIMEOUTS,
      signal,
    });
    end = () => connection.close(1_000);
    rowsRead = 0;
    let rows = 0;
    await connection.start(slot, "bench", 0n, {
      onData(payload) {
        if (payload[0] === INSERT) rows += 1;
        if (payload[0] !== COMMIT) return;
        rowsRead = rows;
        onCommit(rows);
      },
      onKeepalive: () => undefined,
      onPause: () => undefined,
      processed: () => 0n,
      acknowledged: () => 0n,
    });
  },
  untilRead({ rows }) {
    return new Promise((resolve) => {
      onCommit = (read) => {
        if (read >= rows) resolve(monotonicMs());
      };
      onCommit(rowsRead);
    });
  },
  async stop() {
    await end();
    end = () => Promise.resolve();
  },
};

function send(path: string, frame: string): void {
  for (const client of clients.get(path) ?? []) client.write(frame);
}

function fail(error: unknown): void {
  process.stderr.write(`The peer of the benchmark failed: ${String(error)}\n`);
  process.exit(1);
}

serveCalls(calls);
