import { LogicalReplicationService } from "pg-logical-replication";
import { Pool } from "pg";
import { ReplicationConnection } from "../../packages/server/dist/source/postgres/wal/replication-connection.js";
import { TypeCatalog } from "../../packages/server/dist/source/postgres/wal/type-catalog.js";
import { createDecoder, createPeerCounter, createPeerPlugin } from "./decoders.ts";
import type { DecoderKind } from "./decoders.ts";
import { DECODE_SLOT } from "./decode-shapes.ts";
import { serveCalls } from "./worker-process.ts";

/** What was decoded, and what it took. */
export interface Decoded {
  readonly changes: number;
  readonly characters: number;
  /** User and system, garbage collection and compiler included. */
  readonly cpuSeconds: number;
}

/** The calls of a process that decodes in one way only, as a server would. */
export interface DecodeCalls {
  [call: string]: (argument: never) => unknown;
  /** Reads the slot's payloads into memory. */
  load(argument: { url: string }): Promise<void>;
  /** Decodes what was loaded. */
  fromMemory(argument: { kind: DecoderKind }): Promise<Decoded>;
  /** Reads the slot again, over a connection of its own, and decodes at once. */
  fromStream(argument: { url: string; kind: DecoderKind }): Promise<Decoded>;
}

const TIMEOUTS = {
  connectTimeoutMs: 10_000,
  statusIntervalMs: 10_000,
  probeTimeoutMs: 30_000,
  senderTimeoutMs: 60_000,
};
const COMMIT = 0x43;
/** Changes are told from the other messages of pgoutput by their first byte. */
const ROWS = new Set([0x49, 0x55]);

let types: TypeCatalog | undefined;
let payloads: readonly Buffer[] = [];

const calls: DecodeCalls = {
  async load({ url }) {
    const pool = new Pool({ connectionString: url });
    try {
      const { rows } = await pool.query<{ typeOid: number }>(
        `select atttypid::int as "typeOid" from pg_attribute where attrelid = 'shape'::regclass`,
      );
      types = new TypeCatalog({ pool });
      await types.load(rows);
    } finally {
      await pool.end();
    }
    const loaded: Buffer[] = [];
    await readStream(url, (payload) => loaded.push(Buffer.from(payload)));
    payloads = loaded;
  },
  fromMemory({ kind }) {
    const decoder = createDecoder(kind, loadedTypes());
    const before = process.cpuUsage();
    for (const payload of payloads) decoder.decode(payload);
    return Promise.resolve(decodedBy(decoder, before));
  },
  async fromStream({ url, kind }) {
    if (kind === "objects" || kind === "json") return streamByPeer(url, kind);
    const decoder = createDecoder(kind, loadedTypes());
    const before = process.cpuUsage();
    await readStream(url, (payload) => {
      decoder.decode(payload);
    });
    return decodedBy(decoder, before);
  },
};

function loadedTypes(): TypeCatalog {
  if (types === undefined) throw new Error("Nothing was loaded.");
  return types;
}

function decodedBy({ changes, characters }: Omit<Decoded, "cpuSeconds">, before: NodeJS.CpuUsage): Decoded {
  const { user, system } = process.cpuUsage(before);
  return { changes, characters, cpuSeconds: (user + system) / 1e6 };
}

/** Up to the commit of what has rows. */
async function readStream(url: string, take: (payload: Buffer) => void): Promise<void> {
  const { signal } = new AbortController();
  const connection = await ReplicationConnection.open({ url, applicationName: "bench", ...TIMEOUTS, signal });
  let rows = 0;
  const complete = new Promise<void>((resolve) => {
    void connection.start(DECODE_SLOT, DECODE_SLOT, 0n, {
      onData(payload) {
        take(payload);
        if (ROWS.has(payload[0] ?? 0)) rows += 1;
        if (payload[0] === COMMIT && rows > 0) resolve();
      },
      onKeepalive: () => undefined,
      onPause: () => undefined,
      processed: () => 0n,
      acknowledged: () => 0n,
    });
  });
  await Promise.race([complete, connection.ended]);
  await connection.close(1_000);
}

async function streamByPeer(url: string, kind: "objects" | "json"): Promise<Decoded> {
  const service = new LogicalReplicationService(
    { connectionString: url },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  );
  const counter = createPeerCounter(kind);
  const before = process.cpuUsage();
  await new Promise<void>((resolve, reject) => {
    service.on("data", (_lsn: string, message: Parameters<typeof counter.take>[0]) => {
      counter.take(message);
      if (message.tag === "commit" && counter.changes > 0) resolve();
    });
    service.on("error", reject);
    service.subscribe(createPeerPlugin(), DECODE_SLOT).catch(reject);
  });
  const decoded = decodedBy(counter, before);
  await service.destroy();
  return decoded;
}

serveCalls(calls);
