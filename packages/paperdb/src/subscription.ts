import type { ErrorCode, SubscribeMessage } from "@paperdb/protocol";
import { Documents } from "./documents.ts";
import type { AnyDocument, AnyEvent, Listener } from "./listener.ts";
import { Listeners } from "./listeners.ts";
import type { PaperDBError } from "./paperdb-error.ts";
import { epochOf, isAfter } from "./place.ts";
import type { SubscriptionStatus } from "./types.ts";

/** What a subscription is to. */
export interface Target {
  readonly kind: "collection" | "topic";
  readonly name: string;
}

/** As JSON, a member that is undefined is one that is not there. */
export type Sent<Message> = { readonly [Name in keyof Message]: Message[Name] | undefined };

/** Why listeners that want documents end, and no others. */
export const NO_DOCUMENTS: ErrorCode = "snapshot_not_supported";
const USELESS_CURSOR = "The cursor is of no use.";

/**
 * One subscription on the server, shared by all listeners to the same. Each of them has its own place; where they
 * differ, the server is asked to go on from the first, and each takes what it has not had.
 */
export class Subscription {
  declare readonly key: string;
  declare readonly target: Target;
  /** Its name on the open connection, once it was asked for. */
  id: string | undefined;
  /** The server's name for it on the open connection, once it is known. */
  channel: string | undefined;
  /** Refusals in a row that may be overcome by trying again. */
  refusals = 0;
  /** Waits before it is asked for again. */
  isHeld = false;
  /** A fresh token was fetched for it, because the one before did not grant it. */
  hasFreshToken = false;
  /** It has to be asked for anew: from an earlier place, or for documents. */
  isRewound = false;
  readonly #where: unknown;
  readonly #onChange: () => void;
  readonly #listeners = new Listeners();
  readonly #documents = new Documents();
  #status: SubscriptionStatus = "connecting";
  /** The last place that there was: that of the documents. */
  #head: string | undefined;
  /** A cursor was sent, and the server has not said yet whether it can go on there. */
  #isResuming = false;
  /** Why what the listeners hold is void, until they are told. */
  #resetReason: string | undefined;

  /**
   * @param key - tells subscriptions apart.
   * @param onChange - listeners may have left, or may come back.
   */
  constructor(key: string, target: Target, where: unknown, onChange: () => void) {
    this.key = key;
    this.target = target;
    this.#where = where;
    this.#onChange = onChange;
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  /** Whether somebody takes its events at the moment. */
  get isWanted(): boolean {
    return this.#listeners.some("isHere");
  }

  add(listener: Listener): void {
    // What came while nobody took events was for those that left, not for this one.
    if (this.#listeners.firstPlace !== undefined) listener.place = this.#head;
    this.#listeners.add(listener);
    queueMicrotask(() => {
      if (!listener.isOver) listener.setStatus(this.#status, false);
    });
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /** All its listeners go on with another one, to the same. */
  moveTo(other: Subscription): void {
    this.#listeners.forEach((listener) => {
      this.#listeners.delete(listener);
      if (listener.place !== undefined) listener.reset(USELESS_CURSOR);
      other.add(listener);
    });
  }

  /** Sees to listeners that need something other than the next event. */
  settle(): void {
    const documents = this.#documents;
    if (!this.#listeners.some("keepsDocuments")) documents.kept = undefined;
    if (this.#listeners.some("lacksDocuments") && !documents.areArriving) {
      if (documents.kept === undefined) this.isRewound = true;
      else this.#giveDocuments(documents.kept, this.#status);
    }
    this.#listeners.forEach((listener) => {
      if (!listener.isWaiting) return;
      listener.comeBack();
      this.isRewound = true;
    });
  }

  /** What to send to the server. */
  request(id: string): Sent<SubscribeMessage> {
    const { kind, name } = this.target;
    // Documents come first: after them it goes back to where the others are.
    const isFresh = this.#resetReason !== undefined || this.#listeners.some("lacksDocuments");
    const cursor = isFresh ? undefined : this.#listeners.firstPlace;
    const snapshot = this.#listeners.some("wantsDocuments") || undefined;
    this.id = id;
    this.isRewound = false;
    this.#isResuming = cursor !== undefined;
    if (snapshot) this.#documents.expect();
    return { type: "subscribe", id, [kind]: name, cursor, where: this.#where, snapshot };
  }

  /** Some of the documents, before it is live. */
  takeDocuments(ids: readonly string[], documents: readonly AnyDocument[]): void {
    this.#documents.add(ids, documents);
  }

  ready(cursor: string, resumed: boolean): void {
    if (this.#isResuming && !resumed) this.#resetReason ??= USELESS_CURSOR;
    if (resumed) this.#documents.abandon();
    else this.#head = cursor;
    this.refusals = 0;
    this.hasFreshToken = this.#isResuming = false;
    const resetReason = this.#resetReason;
    this.#resetReason = undefined;
    this.#listeners.forEach((listener) => {
      const { place = cursor } = listener;
      const isLost = !resumed && epochOf(place) !== epochOf(cursor);
      const reason = resetReason ?? (isLost ? USELESS_CURSOR : undefined);
      if (reason !== undefined) listener.reset(reason);
      listener.place ??= this.#head;
    });
    const documents = this.#documents.complete();
    if (documents !== undefined) this.#giveDocuments(documents, "live");
    this.isRewound = !resumed && this.#listeners.firstPlace !== cursor;
    if (!this.isRewound) this.setStatus("live", resumed);
    this.#onChange();
  }

  /** @param cursor - undefined within a snapshot. */
  take(event: AnyEvent, cursor: string | undefined): void {
    if (cursor === undefined) this.#documents.apply(event, true);
    else if (!this.isRewound) {
      if (isAfter(cursor, this.#head)) {
        this.#head = cursor;
        this.#documents.apply(event, false);
      }
      this.#listeners.forEach((listener) => {
        listener.take(event, cursor);
      });
      if (!this.isWanted) this.#onChange();
    }
  }

  /** Where the server says that it stands. */
  advance(cursor: string): void {
    if (this.isRewound) return;
    this.#head = cursor;
    this.#listeners.forEach((listener) => {
      if (listener.hasPlace) listener.place = cursor;
    });
  }

  /** What listeners hold is void: they are told once it is live again, and documents have come. */
  reset(reason: string): void {
    this.#resetReason = reason;
    this.#isResuming = false;
    if (this.#listeners.some("wantsDocuments")) {
      this.#documents.expect();
      this.setStatus("reconnecting");
    }
  }

  /** It is off the connection. */
  leave(): void {
    this.id = this.channel = undefined;
    this.#documents.abandon();
  }

  /** The connection is gone. */
  disconnect(): void {
    this.leave();
    if (this.#status !== "connecting") this.setStatus("reconnecting");
  }

  /** Ends it for all listeners; without an error when the client was closed. */
  end(error: PaperDBError | undefined): void {
    const isAboutDocuments = error?.code === NO_DOCUMENTS;
    this.#listeners.forEach((listener) => {
      if (isAboutDocuments && !listener.wantsDocuments) return;
      if (error !== undefined) listener.fail(error);
      listener.setStatus("ended", false);
      listener.unsubscribe();
    });
  }

  setStatus(status: SubscriptionStatus, resumed = false): void {
    this.#status = status;
    this.#listeners.forEach((listener) => {
      listener.setStatus(status, resumed);
    });
  }

  #giveDocuments(documents: ReadonlyMap<string, AnyDocument>, status: SubscriptionStatus): void {
    this.#listeners.forEach((listener) => {
      if (!listener.lacksDocuments) return;
      listener.place = this.#head;
      listener.takeDocuments(this.target.name, documents);
      listener.setStatus(status, false);
    });
  }
}
