import type { SubscribeMessage } from "@paperdb/protocol";
import type { AnyEvent, Listener } from "./listener.ts";
import type { PaperDBError } from "./paperdb-error.ts";
import type { SubscribeOptions, SubscriptionStatus } from "./types.ts";

/** What a subscription is to. */
export interface Target {
  readonly kind: "collection" | "topic";
  readonly name: string;
}

/** As JSON, a member that is undefined is one that is not there. */
export type Sent<Message> = { readonly [Name in keyof Message]: Message[Name] | undefined };

/** One subscription on the server, shared by all listeners to the same. */
export class Subscription {
  declare readonly key: string;
  declare readonly target: Target;
  /** Its name on the open connection, once it was asked for. */
  id: string | undefined;
  /** The server's name for it on the open connection, once it is live. */
  channel: string | undefined;
  /** Refusals in a row that may be overcome by trying again. */
  refusals = 0;
  /** Waits before it is asked for again. */
  isHeld = false;
  /** A fresh token was fetched for it, because the one before did not grant it. */
  hasFreshToken = false;
  readonly #options: SubscribeOptions;
  readonly #onChange: () => void;
  #listeners = new Set<Listener>();
  #status: SubscriptionStatus = "connecting";
  /** Where to go on. */
  #cursor: string | undefined;
  /** The last event that there was. */
  #head: string | undefined;
  /** Went back, and alone takes what comes again up to there. */
  #replayer: Listener | undefined;
  /** It went back to an earlier place, and has to be asked for anew. */
  isRewound = false;
  /** A cursor was sent, and the server has not said yet whether it can go on there. */
  #isResuming = false;

  /**
   * @param key - tells subscriptions apart.
   * @param onChange - listeners may have left, or may come back.
   */
  constructor(key: string, target: Target, options: SubscribeOptions, onChange: () => void) {
    this.key = key;
    this.target = target;
    this.#options = options;
    this.#onChange = onChange;
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  /** Whether somebody takes its events at the moment. */
  get isWanted(): boolean {
    return [...this.#listeners].some(({ leftAt }) => leftAt === undefined);
  }

  add(listener: Listener): void {
    // What came while nobody took events was for those that left, not for this one.
    if (!this.isWanted && this.id === undefined) this.#cursor = this.#replayer = undefined;
    this.#listeners.add(listener);
    queueMicrotask(() => {
      if (this.#listeners.has(listener)) listener.setStatus(this.#status, false);
    });
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /**
   * Goes back to where a listener left that wants to come back. One after the
   * other: nobody can tell which of two cursors is the earlier one.
   */
  rewind(): void {
    if (this.#replayer !== undefined && this.isWanted) return;
    for (const listener of this.#listeners) {
      if (!listener.isWaiting) continue;
      this.#cursor = listener.leftAt;
      this.#replayer = listener;
      this.isRewound = true;
      listener.comeBack();
      return;
    }
  }

  /** What to send to the server. */
  request(id: string): Sent<SubscribeMessage> {
    const { kind, name } = this.target;
    const { where, snapshot } = this.#options;
    this.id = id;
    this.isRewound = false;
    this.#isResuming = this.#cursor !== undefined;
    return { type: "subscribe", id, [kind]: name, cursor: this.#cursor, where, snapshot };
  }

  ready(channel: string, cursor: string, resumed: boolean): void {
    if (this.#isResuming && !resumed) this.reset("The cursor is of no use.");
    this.#isResuming = false;
    this.channel = channel;
    this.#cursor = cursor;
    this.refusals = 0;
    this.hasFreshToken = false;
    this.setStatus("live", resumed);
  }

  take(event: AnyEvent, cursor: string): void {
    const before = this.#cursor;
    this.#cursor = cursor;
    const replayer = this.#replayer;
    this.#each((listener) => {
      if ((replayer ?? listener) === listener) listener.take(event, before);
    });
    if (replayer === undefined) this.#head = cursor;
    else if (cursor === this.#head) this.#replayer = undefined;
    if (!this.isWanted || this.#replayer !== replayer) this.#onChange();
  }

  /** Where the server says that it stands. */
  advance(cursor: string): void {
    this.#cursor = cursor;
  }

  reset(reason: string): void {
    this.#isResuming = false;
    this.#replayer = undefined;
    this.#each((listener) => {
      listener.reset(reason);
    });
  }

  /** It is off the connection. */
  leave(): void {
    this.id = undefined;
    this.channel = undefined;
  }

  /** The connection is gone. */
  disconnect(): void {
    this.leave();
    if (this.#status === "live") this.setStatus("reconnecting");
  }

  /** Ends it for all listeners; without an error when the client was closed. */
  end(error: PaperDBError | undefined): void {
    this.#each((listener) => {
      if (error !== undefined) listener.fail(error);
      listener.setStatus("ended", false);
      listener.unsubscribe();
    });
  }

  setStatus(status: SubscriptionStatus, resumed = false): void {
    this.#status = status;
    this.#each((listener) => {
      listener.setStatus(status, resumed);
    });
  }

  /** Those that come meanwhile are left out, and those that go. */
  #each(visit: (listener: Listener) => void): void {
    for (const listener of Array.from(this.#listeners)) if (this.#listeners.has(listener)) visit(listener);
  }
}
