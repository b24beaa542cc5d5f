import { connect } from "node:net";
import { monotonicMs } from "./clock.ts";
import { CARRIED_BYTES } from "./carried-bytes.ts";
import { DocumentScanner } from "./document-scanner.ts";
import { serveCalls } from "./worker-process.ts";

/** Clients that ask for the same at once. */
export interface SnapshotRequest {
  readonly host: string;
  readonly port: number;
  /** The HTTP request of each. */
  readonly request: Buffer;
  readonly clients: number;
  readonly timeoutMs: number;
}

/** What they got, until each of them was `ready`. */
export interface SnapshotsReceived {
  /** From the first request until each client was `ready`, one by one. */
  readonly readyAfterMs: readonly number[];
  readonly documents: readonly number[];
  readonly sequenceSums: readonly number[];
  readonly bytes: number;
  /** How often a client had to begin again. */
  readonly resets: number;
}

/** The calls of the process that holds the clients. */
export interface SnapshotClientCalls {
  [call: string]: (argument: never) => unknown;
  read(request: SnapshotRequest): Promise<SnapshotsReceived>;
}

/** Read by one socket at a time, so all share it. */
const BUFFER = Buffer.allocUnsafe(CARRIED_BYTES + 64 * 1024);
const READ_BUFFER = BUFFER.subarray(CARRIED_BYTES);

const calls: SnapshotClientCalls = {
  async read(request) {
    const startedAtMs = monotonicMs();
    const clients = await Promise.all(Array.from({ length: request.clients }, () => readOne(request)));
    return {
      readyAfterMs: clients.map(({ readyAtMs }) => readyAtMs - startedAtMs),
      documents: clients.map(({ scanner }) => scanner.documents),
      sequenceSums: clients.map(({ scanner }) => scanner.sequenceSum),
      bytes: clients.reduce((sum, { bytes }) => sum + bytes, 0),
      resets: clients.reduce((sum, { scanner }) => sum + scanner.resets, 0),
    };
  },
};

interface Client {
  readonly scanner: DocumentScanner;
  readonly readyAtMs: number;
  readonly bytes: number;
}

function readOne({ host, port, request, timeoutMs }: SnapshotRequest): Promise<Client> {
  return new Promise((resolve, reject) => {
    const scanner = new DocumentScanner();
    let bytes = 0;
    const take = (length: number): boolean => {
      bytes += length;
      scanner.push(BUFFER, CARRIED_BYTES, CARRIED_BYTES + length);
      if (!scanner.isReady) return true;
      clearTimeout(deadline);
      resolve({ scanner, readyAtMs: monotonicMs(), bytes });
      socket.destroy();
      return false;
    };
    const socket = connect({ host, port, onread: { buffer: READ_BUFFER, callback: take } });
    const deadline = setTimeout(() => {
      reject(
        new Error(`A client was not ready within ${timeoutMs} ms: it has ${scanner.documents} documents.`),
      );
      socket.destroy();
    }, timeoutMs);
    socket.setNoDelay(true);
    socket.once("error", reject);
    const startedAtMs = monotonicMs();
    socket.once("close", () => {
      const seconds = Math.round((monotonicMs() - startedAtMs) / 1000);
      reject(
        new Error(`The server closed a connection after ${seconds} s, with ${scanner.documents} documents.`),
      );
    });
    socket.write(request);
  });
}

serveCalls(calls);
