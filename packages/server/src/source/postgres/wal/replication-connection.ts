import type { Socket } from "node:net";
import { DatabaseError } from "pg";
import type { Client, Connection } from "pg";
import { within } from "../../../timing/within.ts";
import { formatLsn, NO_LSN, parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { ReadPauses } from "./read-pauses.ts";
import { openReplicationClient } from "./replication-client.ts";
import type { ReplicationClient, ReplicationClientOptions } from "./replication-client.ts";
import { COPY_DONE, readCopyData, statusMessage } from "./streaming-protocol.ts";

/** What a {@link ReplicationConnection} is made with. */
export interface ReplicationOptions extends ReplicationClientOptions {
  readonly statusIntervalMs: number;
  readonly probeTimeoutMs: number;
}

/** What is done with a stream. */
export interface StreamHandler {
  /** One message; its bytes are good until the promise, if any, is settled. A promise holds the stream up. */
  onData(payload: Buffer): void | Promise<void>;
  /** All that committed before `walEnd` was sent. */
  onKeepalive(walEnd: Lsn): void;
  /** Nothing more has come for now: what was gathered can go out. A promise holds the stream up. */
  onPause(): void | Promise<void>;
  /** All before it is processed. */
  processed(): Lsn;
  /** What the server may forget: all before it. Never more than what is processed. */
  acknowledged(): Lsn;
}

/** Which cluster this is, and which of its histories. */
export interface SystemIdentity {
  readonly systemId: string;
  readonly timeline: number;
  /** Where its log ends, on disk. */
  readonly endLsn: Lsn;
}

interface SystemRow {
  readonly systemid: string;
  readonly timeline: number | string;
  readonly xlogpos: string;
}

/** One run of a logical replication stream: it is read in order, answered in time, and never read faster than handled. */
export class ReplicationConnection {
  readonly #client: Client;
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #options: ReplicationOptions;
  #handler: StreamHandler | undefined;
  /** What came while the stream was held up: the rest of what was read from the socket at once. */
  #waiting: Buffer[] = [];
  #held = false;
  readonly #pauses = new ReadPauses(() => {
    this.#pause();
  });
  #heardAtMs = performance.now();
  #askedAtMs: number | undefined;
  #acknowledged: Lsn = NO_LSN;
  #timer: NodeJS.Timeout | undefined;
  #end: (reason: unknown) => void = () => undefined;
  /** Resolves when it is over, with why. */
  readonly ended: Promise<unknown>;

  private constructor({ client, connection, socket }: ReplicationClient, options: ReplicationOptions) {
    this.#client = client;
    this.#connection = connection;
    this.#socket = socket;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#end = (reason) => {
        clearInterval(this.#timer);
        options.signal.removeEventListener("abort", this.#cutNow);
        this.#handler = undefined;
        resolve(reason);
      };
    });
    client.on("error", (error) => this.#end(error));
    client.once("end", () => this.#end(new Error("The connection to the database was lost.")));
    connection.on("copyData", ({ chunk }: { readonly chunk: Buffer }) => {
      this.#take(chunk);
    });
    options.signal.addEventListener("abort", this.#cutNow);
  }

  /** Connects to the database for replication. */
  static async open(options: ReplicationOptions): Promise<ReplicationConnection> {
    return new ReplicationConnection(await openReplicationClient(options), options);
  }

  async identify(): Promise<SystemIdentity> {
    const asked = this.#client.query<SystemRow>("IDENTIFY_SYSTEM");
    const result = await within(this.#options.connectTimeoutMs, asked, this.#options.signal);
    const [row] = result.rows;
    if (row === undefined) throw new Error("The database did not say which one it is.");
    return { systemId: row.systemid, timeline: Number(row.timeline), endLsn: parseLsn(row.xlogpos) };
  }

  /**
   * Starts the stream at an LSN, or where the slot stands if that is later. The handler is called from now on.
   *
   * @throws {DatabaseError} 55006 while another one uses the slot, 55000 when it is lost, 42704 when it is not there.
   */
  async start(slot: string, publication: string, from: Lsn, handler: StreamHandler): Promise<void> {
    this.#handler = handler;
    const started = new Promise<void>((resolve) => {
      this.#connection.once("replicationStart", () => {
        resolve();
      });
    });
    const running = this.#client.query(
      `START_REPLICATION SLOT "${slot}" LOGICAL ${formatLsn(from)} (proto_version '1', publication_names '"${publication}"', messages 'true')`,
    );
    running.then(
      () => this.#end(new Error("The database ended the stream.")),
      (error: unknown) => this.#end(error),
    );
    const refused = this.ended.then((reason) => {
      throw reason;
    });
    await within(this.#options.connectTimeoutMs, Promise.race([started, refused]), this.#options.signal);
    this.#heardAtMs = performance.now();
    this.#timer = setInterval(() => {
      this.#tick();
    }, this.#options.statusIntervalMs);
    this.#timer.unref();
  }

  /** Ends it at once. A failure of another connection is none of the stream's. */
  cut(reason: unknown): void {
    this.#end(reason instanceof DatabaseError ? new Error(reason.message, { cause: reason }) : reason);
    this.#socket.destroy();
  }

  readonly #cutNow = (): void => {
    this.cut(new Error("It was given up."));
  };

  #take(chunk: Buffer): void {
    this.#heardAtMs = performance.now();
    this.#askedAtMs = undefined;
    // The socket is paused meanwhile, so the bytes stay as they are.
    if (this.#held) {
      this.#waiting.push(chunk);
      return;
    }
    try {
      const busy = this.#handle(chunk);
      if (busy !== undefined) void this.#hold(busy);
      else this.#pauses.read(chunk.length);
    } catch (error) {
      this.cut(error);
    }
  }

  #handle(chunk: Buffer): void | Promise<void> {
    const message = readCopyData(chunk);
    if (message.kind === "data") return this.#handler?.onData(message.payload);
    this.#handler?.onKeepalive(message.walEnd);
    if (message.replyRequested) this.#sendStatus(false);
    return undefined;
  }

  #pause(): void {
    if (this.#held) return;
    const busy = this.#handler?.onPause();
    if (busy !== undefined) void this.#hold(busy);
  }

  async #hold(busy: Promise<void>): Promise<void> {
    this.#held = true;
    this.#connection.stream.pause();
    try {
      await busy;
      // What comes while one of them is awaited joins the others.
      for (let next = 0; next < this.#waiting.length; next += 1) {
        const chunk = this.#waiting[next];
        const again = chunk === undefined ? undefined : this.#handle(chunk);
        if (again !== undefined) await again;
      }
      this.#waiting = [];
      await this.#handler?.onPause();
    } catch (error) {
      this.cut(error);
    }
    this.#held = false;
    this.#heardAtMs = performance.now();
    this.#connection.stream.resume();
  }

  #tick(): void {
    const nowMs = performance.now();
    const isQuiet = !this.#held && nowMs - this.#heardAtMs >= this.#options.statusIntervalMs;
    if (isQuiet && this.#askedAtMs !== undefined && nowMs - this.#askedAtMs > this.#options.probeTimeoutMs) {
      this.cut(new Error("The database does not answer any more."));
      return;
    }
    if (isQuiet) this.#askedAtMs ??= nowMs;
    this.#sendStatus(isQuiet);
  }

  #sendStatus(replyRequested: boolean): void {
    const { stream } = this.#connection;
    if (this.#handler === undefined || !stream.writable) return;
    const processed = this.#handler.processed();
    const acknowledged = this.#handler.acknowledged();
    if (acknowledged > this.#acknowledged) {
      this.#acknowledged = acknowledged;
      stream.write(statusMessage(processed, acknowledged, false));
    }
    // The last word is never what may be forgotten, which is old: a server that shuts down would wait for the rest.
    stream.write(statusMessage(processed, NO_LSN, replyRequested));
  }

  /** Tells the server what was processed, and ends; cut off when that takes longer than `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#timer === undefined) {
      this.cut(new Error("It was closed."));
      return;
    }
    this.#sendStatus(false);
    const { stream } = this.#connection;
    // What is still sent is read and dropped: it comes again.
    this.#handler = undefined;
    clearInterval(this.#timer);
    if (stream.writable) stream.write(COPY_DONE);
    stream.resume();
    const timer = setTimeout(() => {
      this.#socket.destroy();
    }, timeoutMs);
    try {
      await this.ended;
      await this.#client.end();
    } catch {
      this.#socket.destroy(); // It was gone already, which is what was asked for.
    } finally {
      clearTimeout(timer);
    }
  }
}
