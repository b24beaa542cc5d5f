import { startProxy, type TcpProxy } from "../support/proxy.ts";
import {
  startServerProcess,
  type ServerProcess,
  type ServerProcessOptions,
} from "../support/server-child.ts";
import { until } from "../support/until.ts";
import type { ServerAddress } from "./access.ts";
import type { StageDatabase } from "./stage-database.ts";
import type { WorldPlan } from "./plan.ts";

/** A slot is made anew, and a database recovers, on a machine that has other things to do. */
const READY_TIMEOUT_MS = 90_000;

/** Both servers of a replacement accept each other's tokens. */
const TOKEN_SECRET = "a-secret-of-the-oracle-with-32-characters";

/** A world's database and server, each in processes of their own that can be killed. */
export class Stage {
  readonly database: StageDatabase;
  readonly address: ServerAddress;
  readonly #options: ServerProcessOptions;
  readonly #front: TcpProxy;
  readonly #started: ServerProcess[];
  #server: ServerProcess;

  private constructor(
    database: StageDatabase,
    options: ServerProcessOptions,
    server: ServerProcess,
    front: TcpProxy,
  ) {
    this.database = database;
    this.#options = options;
    this.#server = server;
    this.#started = [server];
    this.#front = front;
    this.address = { frontUrl: front.url, url: server.url, adminKey: server.adminKey };
  }

  /** Starts the server on a database that runs. */
  static async open(plan: WorldPlan, database: StageDatabase): Promise<Stage> {
    const options = {
      ...database.urls,
      settings: {
        logLevel: "warn" as const,
        sources: database.sources(plan),
        tokenSecret: TOKEN_SECRET,
        connections: { heartbeatIntervalMs: 1_000, drainTimeoutMs: 1_000 },
        ...(plan.historyEvents === undefined ? {} : { history: { maxEventsPerChannel: plan.historyEvents } }),
        // A machine that does other things too is no reason for a reset.
        mongodb: { replayTimeoutMs: 60_000, watchTimeoutMs: 60_000 },
      },
    };
    const server = await startServerProcess(options);
    const stage = new Stage(database, options, server, await startProxy(server.url));
    await stage.untilReady();
    return stage;
  }

  /** Without a goodbye. */
  async killServer(): Promise<void> {
    await this.#server.kill();
  }

  async endServer(): Promise<void> {
    await this.#server.end();
  }

  async startServer(): Promise<void> {
    await this.#server.start();
  }

  /** Another server takes over, as in a rolling restart: it waits for the slot that the first one has. */
  async replaceServer(): Promise<void> {
    const next = await startServerProcess(this.#options);
    this.#started.push(next);
    const ended = this.#server.end();
    await this.#front.cut();
    await this.#front.mend(next.url);
    await ended;
    this.#server = next;
  }

  /** Cuts all clients. */
  async cutNetwork(): Promise<void> {
    await this.#front.cut();
  }

  async mendNetwork(): Promise<void> {
    await this.#front.mend();
  }

  async untilReady(): Promise<void> {
    await until(() => this.#isReady(), {
      timeoutMs: READY_TIMEOUT_MS,
      describe: () => `a server that is ready. It said: ${this.#server.output()}`,
    });
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.#server.url}/readyz`)).status === 200;
    } catch {
      return false;
    }
  }

  /** What the servers have said, for a report. */
  output(): string {
    return this.#started.map((server) => server.output()).join("\n");
  }

  async close(): Promise<void> {
    await this.#front.close();
    for (const server of this.#started) await server.stop();
  }
}
