import { setTimeout as delay } from "node:timers/promises";
import type { DatabaseLog } from "./database-log.ts";
import { databaseUrl, setUpDatabase } from "./database-setup.ts";
import type { DatabaseSetup } from "./database-setup.ts";
import type { Launcher } from "./launcher.ts";
import type { Postmaster } from "./postmaster.ts";
import { DatabaseUse } from "./server-lock.ts";

const FIRST_RESTART_DELAY_MS = 50;
const TRIM_INTERVAL_MS = 60_000;

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

  /** @returns whether PostgreSQL has ended: it runs on while another process uses it. */
  async close(): Promise<boolean> {
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
    const { launcher, setup } = this.#options;
    const urlAt = (port: number): string => databaseUrl({ ...setup, port });
    const postmaster = await launcher.acquire(async (running) => {
      await setUpDatabase({ ...setup, port: running.port });
      const use = await DatabaseUse.open(urlAt(running.port));
      return use.close();
    }, this.#closing.signal);
    try {
      await setUpDatabase({ ...setup, port: postmaster.port });
      const use = await DatabaseUse.open(urlAt(postmaster.port));
      this.#pid = postmaster.pid;
      this.#port = postmaster.port;
      this.#running = { postmaster, use };
      return this.#running;
    } catch (error) {
      if (!postmaster.adopted) await launcher.stop(postmaster);
      throw error;
    }
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
