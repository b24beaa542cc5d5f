import type { ErrorCode, SubscribeMessage } from "@paperdb/protocol";
import { Documents } from "./documents.ts";
import type { AnyDocument, AnyEvent, Listener } from "./listener.ts";
import type { PaperDBError } from "./paperdb-error.ts";
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
  readonly #where: unknown;
  readonly #onChange: () => void;
  #listeners = new Set<Listener>();
  readonly #documents = new Documents();
  #status: SubscriptionStatus = "connecting";
  /** Where to go on, for all that do not lack documents. */
  #cursor: string | undefined;
  /** The last event that there was. */
  #head: string | undefined;
  /** Went back, and alone takes what comes again up to there. */
  #replayer: Listener | undefined;
  /** It went back to an earlier place, and has to be asked for anew. */
  isRewound = false;
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
    return [...this.#listeners].some(({ leftAt }) => leftAt === undefined);
  }

  add(listener: Listener): void {
    // What came while nobody took events was for those that left, not for this one.
    if (!this.isWanted && this.id === undefined) {
      this.#cursor = this.#replayer = this.#documents.kept = undefined;
    }
    this.#listeners.add(listener);
    queueMicrotask(() => {
      if (this.#listeners.has(listener)) listener.setStatus(this.#status, false);
    });
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /** Sees to those that need something other than the next event. */
  settle(): void {
    const documents = this.#documents;
    if (!this.#has("keepsDocuments")) documents.kept = undefined;
    if (this.#has("lacksDocuments") && !documents.areArriving) {
      if (documents.kept === undefined) this.isRewound = this.id !== undefined;
      else this.#giveDocuments(documents.kept, this.#status);
    }
    this.#rewind();
  }

  /** What to send to the server. */
  request(id: string): Sent<SubscribeMessage> {
    const { kind, name } = this.target;
    // The documents come first: where the others were is gone back to after that.
    const cursor = this.#has("lacksDocuments") ? undefined : this.#cursor;
    const snapshot = this.#has("wantsDocuments") || undefined;
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
    if (resumed) this.#documents.abandon();
    else if (this.#isResuming) this.reset("The cursor is of no use.");
    this.#tellReset();
    this.#isResuming = false;
    this.refusals = 0;
    this.hasFreshToken = false;
    const goesBack =
      this.#cursor !== undefined && this.#cursor !== cursor && !resumed && this.#has("hasPlace");
    const documents = this.#documents.complete();
    if (documents !== undefined) this.#giveDocuments(documents, "live");
    if (!this.#has("keepsDocuments")) this.#documents.kept = undefined;
    if (goesBack) {
      // What has changed while the documents came is in them: those that have them already see it change once more.
      this.isRewound = true;
      this.#onChange();
    } else {
      this.#cursor = cursor;
      this.setStatus("live", resumed);
    }
  }

  /** @param cursor - undefined within a snapshot. */
  take(event: AnyEvent, cursor: string | undefined): void {
    const before = this.#cursor;
    const replayer = this.#replayer;
    if (replayer === undefined || cursor === undefined) this.#documents.apply(event, cursor === undefined);
    if (cursor === undefined) return;
    this.#cursor = cursor;
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

  /** What listeners hold is void: they are told once it is live again, and documents have come. */
  reset(reason: string): void {
    this.#resetReason = reason;
    this.#isResuming = false;
    this.#cursor = this.#replayer = undefined;
    if (this.#has("wantsDocuments")) {
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
    this.#each((listener) => {
      if (isAboutDocuments && !listener.wantsDocuments) return;
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

  /**
   * Goes back to where a listener left that wants to come back. One after the
   * other: nobody can tell which of two cursors is the earlier one.
   */
  #rewind(): void {
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

  #tellReset(): void {
    const reason = this.#resetReason;
    if (reason === undefined) return;
    this.#resetReason = undefined;
    this.#each((listener) => {
      listener.reset(reason);
    });
  }

  #giveDocuments(documents: ReadonlyMap<string, AnyDocument>, status: SubscriptionStatus): void {
    this.#each((listener) => {
      if (!listener.lacksDocuments) return;
      listener.takeDocuments(this.target.name, documents);
      listener.setStatus(status, false);
    });
  }

  /** Whether this is so for one of the listeners. */
  #has(trait: "wantsDocuments" | "lacksDocuments" | "keepsDocuments" | "hasPlace"): boolean {
    return [...this.#listeners].some((listener) => listener[trait]);
  }

  /** Those that come meanwhile are left out, and those that go. */
  #each(visit: (listener: Listener) => void): void {
    for (const listener of Array.from(this.#listeners)) if (this.#listeners.has(listener)) visit(listener);
  }
}
