import { createServer } from "node:net";
import { Client } from "pg";
import type { Connection } from "pg";
import { monotonicMs } from "./clock.ts";
import { listenLocally } from "./listening.ts";
import { serveCalls } from "./worker-process.ts";

/** What reading took. */
export interface CopyCost {
  readonly rows: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** The calls of a process that does the least that has to be done for a snapshot. */
export interface SnapshotPeerCalls {
  [call: string]: (argument: never) => unknown;
  /** Has PostgreSQL send the rows of a table as JSON, and throws them away. */
  copy(argument: { url: string; table: string }): Promise<CopyCost>;
  /** From now on each client gets so many bytes, the same for all, and `ready`. Returns the port. */
  serve(argument: { bytes: number }): Promise<number>;
}

const PART = Buffer.alloc(64 * 1024, "x");
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const READY = "\n\nevent: ready\nid: 1\ndata: {}\n\n";

let bytesForEach = 0;
const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.once("data", () => {
    socket.write(HEAD);
    let left = bytesForEach;
    const writeOn = (): void => {
      while (left > 0) {
        left -= PART.length;
        if (!socket.write(PART)) return;
      }
      socket.off("drain", writeOn);
      socket.write(READY);
    };
    socket.on("drain", writeOn);
    writeOn();
  });
});

/** A query of `pg` whose rows are counted as they come. */
class CountedCopy {
  rows = 0;
  readonly finished: Promise<void>;
  readonly #sql: string;
  #finish: () => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;

  constructor(sql: string) {
    this.#sql = sql;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
  }

  submit(connection: Connection): void {
    connection.query(this.#sql);
  }

  handleCopyData(): void {
    this.rows += 1;
  }

  handleCommandComplete(): void {
    // What comes next says that it is over.
  }

  handleReadyForQuery(): void {
    this.#finish();
  }

  handleError(error: Error): void {
    this.#fail(error);
  }
}

const calls: SnapshotPeerCalls = {
  async copy({ url, table }) {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      const copy = new CountedCopy(`copy (select row_to_json(t.*)::text from ${table} t) to stdout`);
      const startedAtMs = monotonicMs();
      const before = process.cpuUsage();
      client.query(copy);
      await copy.finished;
      const { user, system } = process.cpuUsage(before);
      const seconds = (monotonicMs() - startedAtMs) / 1000;
      return { rows: copy.rows, seconds, cpuSeconds: (user + system) / 1e6 };
    } finally {
      await client.end();
    }
  },
  async serve({ bytes }) {
    bytesForEach = bytes;
    return listenLocally(server);
  },
};

serveCalls(calls);
