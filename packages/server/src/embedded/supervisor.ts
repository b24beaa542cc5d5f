import { setTimeout as delay } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import { within } from "../timing/within.ts";
import type { DatabaseLog } from "./database-log.ts";
import { databaseUrl, setUpDatabase } from "./database-setup.ts";
import type { DatabaseSetup } from "./database-setup.ts";
import type { Launcher } from "./launcher.ts";
import type { Postmaster } from "./postmaster.ts";
import { DatabaseUse } from "./server-lock.ts";

const FIRST_RESTART_DELAY_MS = 50;
const TRIM_INTERVAL_MS = 60_000;
/** So often one is taken over that another process is ending, before it is told. */
const MAX_ADOPTIONS = 3;
/** As long as PostgreSQL needs to end in order, and more. */
const ENDING_TIMEOUT_MS = 5_000;

/** How {@link Supervisor} keeps PostgreSQL running. */
export interface SupervisorOptions {
  readonly launcher: Launcher;
  readonly databaseLog: DatabaseLog;
  readonly setup: Omit<DatabaseSetup, "port">;
  readonly restart: boolean;
  readonly maxRestartDelayMs: number;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly onExit: (why: string) => void;
}

interface Running {
  readonly postmaster: Postmaster;
  readonly use: DatabaseUse;
}

/** Keeps PostgreSQL running: starts it again, with back-off, when it ends by itself. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #closing = new AbortController();
  #running: Running | undefined;
  #watching: Promise<void> = Promise.resolve();
  #trimming: NodeJS.Timeout | undefined;
  #closed: Promise<boolean> | undefined;
  #pid = 0;
  #port = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get pid(): number {
    return this.#pid;
  }

  get port(): number {
    return this.#port;
  }

  /** @returns whether PostgreSQL ran already. */
  async start(): Promise<boolean> {
    const running = await this.#bringUp();
    const { databaseLog, log } = this.#options;
    this.#watching = this.#watch(running);
    this.#trimming = setInterval(() => {
      databaseLog.trim().catch((error: Error) => log("database log not trimmed", { reason: error.message }));
    }, TRIM_INTERVAL_MS).unref();
    return running.postmaster.adopted;
  }

  /** @returns whether PostgreSQL has ended: it runs on while another process uses it. The same for who asks again. */
  close(): Promise<boolean> {
    // A use that was ended is nobody's: what another process uses would be stopped.
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<boolean> {
    this.#closing.abort();
    clearInterval(this.#trimming);
    if (this.#running !== undefined) return this.#shutDown(this.#running);
    // A start that is under way ends first, and is then undone.
    await this.#watching;
    return true;
  }

  async #shutDown({ postmaster, use }: Running): Promise<boolean> {
    const alone = await use.close();
    if (alone) await this.#options.launcher.stop(postmaster);
    return alone;
  }

  async #bringUp(): Promise<Running> {
    const { launcher } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const postmaster = await launcher.acquire(async ({ port }) => {
        const use = await this.#openUse(port);
        return use.close();
      }, this.#closing.signal);
      try {
        const use = await this.#openUse(postmaster.port);
        this.#pid = postmaster.pid;
        this.#port = postmaster.port;
        this.#running = { postmaster, use };
        return this.#running;
      } catch (error) {
        if (!postmaster.adopted) await launcher.stop(postmaster);
        // The process that has started it may just have been the last one to use it.
        const mayTryAgain =
          postmaster.adopted && attempt < MAX_ADOPTIONS && !(error instanceof RealtimeError);
        if (!mayTryAgain || !(await endsSoon(postmaster))) throw error;
      }
    }
  }

  async #openUse(port: number): Promise<DatabaseUse> {
    const setup = { ...this.#options.setup, port };
    await setUpDatabase(setup);
    return DatabaseUse.open(databaseUrl(setup));
  }

  async #watch(first: Running): Promise<void> {
    const { log, onExit, restart } = this.#options;
    for (let running: Running | undefined = first; running !== undefined;) {
      const why: string = await running.postmaster.exited;
      await running.use.close();
      this.#running = undefined;
      if (this.#closing.signal.aborted) return;
      log("the embedded PostgreSQL ended by itself", { why, restart });
      onExit(why);
      running = restart ? await this.#bringUpAgain() : undefined;
    }
  }

  /** @returns undefined once closed. */
  async #bringUpAgain(): Promise<Running | undefined> {
    const { log, maxRestartDelayMs } = this.#options;
    const { signal } = this.#closing;
    for (let delayMs = FIRST_RESTART_DELAY_MS; ; delayMs = Math.min(delayMs * 2, maxRestartDelayMs)) {
      await delay(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return undefined;
      try {
        const running = await this.#bringUp();
        if (signal.aborted) {
          await this.#shutDown(running);
          return undefined;
        }
        log("the embedded PostgreSQL runs again", { adopted: running.postmaster.adopted });
        return running;
      } catch (error) {
        log("the embedded PostgreSQL did not start again", {
          reason: error instanceof Error ? error.message : "unknown",
        });
      }
    }
  }
}

async function endsSoon({ exited }: Postmaster): Promise<boolean> {
  return within(ENDING_TIMEOUT_MS, exited).then(
    () => true,
    () => false,
  );
}
