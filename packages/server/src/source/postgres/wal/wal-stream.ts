import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseError } from "pg";
import type { Logger } from "pino";
import { backoffMs } from "../../../timing/backoff.ts";
import { ReplicationConnection } from "./replication-connection.ts";
import type { ReplicationOptions, StreamHandler, SystemIdentity } from "./replication-connection.ts";
import type { WalSettings } from "./settings.ts";
import { inUse, SlotUnavailableError } from "./slot-errors.ts";
import type { ReadySlot, SlotKeeper } from "./slot.ts";
import type { Lsn } from "./lsn.ts";

/** What a {@link WalStream} works with. */
export interface WalStreamOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly slots: SlotKeeper;
  /** The publication's name. */
  readonly publication: string;
  readonly settings: WalSettings;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Before the slot is looked for: the publication comes first. */
  readonly prepare: () => Promise<void>;
  /** How far the stream has come. */
  readonly reachedLsn: () => Lsn;
  /** There is a slot. @returns where the stream starts, and who handles it. */
  readonly onSlot: (slot: ReadySlot) => Promise<{ readonly from: Lsn; readonly handler: StreamHandler }>;
  /** The stream runs. What it does is done beside it, and its failure ends the stream. */
  readonly onStreaming: () => Promise<void>;
  /** The stream has ended, or could not begin. `expected`: it takes a while, and nothing is wrong. */
  readonly onDown: (reason: string, expected: boolean) => void;
}

const OBJECT_IN_USE = "55006";
const NOT_IN_PREREQUISITE_STATE = "55000";
const UNDEFINED_OBJECT = "42704";

const CLOSE_TIMEOUT_MS = 1_000;

/** Keeps one replication stream going: connects, finds the slot, streams, and comes back by itself. */
export class WalStream {
  readonly #options: WalStreamOptions;
  #connection: ReplicationConnection | undefined;
  #running: Promise<void> = Promise.resolve();
  /** In a row. */
  #failures = 0;
  #waits = 0;
  #isClosing = false;
  /** Whether the last run came so far that a failure can be the slot's. */
  #isStarted = false;

  constructor(options: WalStreamOptions) {
    this.#options = options;
  }

  /** Runs until the signal is aborted. */
  start(): void {
    this.#running = this.#run();
  }

  /** Ends the stream politely, having told what was processed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close(CLOSE_TIMEOUT_MS);
  }

  /** Resolves once the signal has ended it. */
  async stopped(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const failure = await this.#once().catch((error: unknown) => error);
      if (this.#isClosing || this.#options.signal.aborted) return;
      await this.#recover(failure);
      if (this.#options.signal.aborted) return;
    }
  }

  /** @returns why the stream has ended. */
  async #once(): Promise<unknown> {
    const { prepare, reachedLsn, slots, publication, onSlot, onStreaming, onDown } = this.#options;
    const { url, applicationName, signal } = this.#options;
    const connectionOptions: ReplicationOptions = { ...this.#options.settings, url, applicationName, signal };
    this.#isStarted = false;
    const connection = await ReplicationConnection.open(connectionOptions);
    this.#connection = connection;
    try {
      const identity: SystemIdentity = await connection.identify();
      await prepare();
      const slot = await slots.ensure(identity, reachedLsn(), (reason) => onDown(reason, true));
      const { from, handler } = await onSlot(slot);
      this.#isStarted = true;
      await connection.start(slots.name, publication, from, handler);
      onStreaming().then(
        () => {
          this.#failures = 0;
          this.#waits = 0;
        },
        (error: unknown) => connection.cut(error),
      );
      return await connection.ended;
    } finally {
      connection.cut(new Error("The stream is over."));
    }
  }

  async #recover(failure: unknown): Promise<void> {
    const { slots, settings, log, signal, onDown } = this.#options;
    const code = failure instanceof DatabaseError ? failure.code : undefined;
    if (code === OBJECT_IN_USE || failure instanceof SlotUnavailableError) {
      onDown(code === OBJECT_IN_USE ? inUse(slots.name) : failureText(failure), true);
      this.#waits += 1;
      // It may be our own former stream, which the database is about to end.
      const limits = { minMs: settings.minReconnectMs, maxMs: settings.slotRetryMs };
      await pause(backoffMs(this.#waits, limits), signal);
      return;
    }
    onDown(failureText(failure), false);
    if (this.#isStarted && isBeyondRepair(failure)) {
      // What the slot kept is gone, or cannot be read: its publication did not exist then.
      log.error({ reason: failureText(failure) }, "The replication slot is lost, and is made anew");
      await slots.drop().catch((error: unknown) => {
        log.warn({ reason: failureText(error) }, "Cannot drop the lost replication slot yet");
      });
    }
    this.#failures += 1;
    log.warn({ reason: failureText(failure), failures: this.#failures }, "The stream has ended, will retry");
    const limits = { minMs: settings.minReconnectMs, maxMs: settings.maxReconnectMs };
    await pause(backoffMs(this.#failures, limits), signal);
  }
}

function isBeyondRepair(failure: unknown): boolean {
  if (!(failure instanceof DatabaseError)) return false;
  if (failure.code === UNDEFINED_OBJECT) return true;
  return (
    failure.code === NOT_IN_PREREQUISITE_STATE &&
    /can no longer (?:get changes|access)|invalidated/.test(failure.message)
  );
}

/** In one line. */
function failureText(failure: unknown): string {
  if (failure instanceof AggregateError) return failure.errors.map(failureText).join("; ");
  const text = failure instanceof Error ? failure.message : String(failure);
  return text.replace(/\s+/gu, " ");
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends.
}
