import { RealtimeError } from "@paperdb/protocol";
import type { ConnectionInfo } from "../connection-registry.ts";
import type { ChannelSubscription } from "./channel-subscription.ts";
import { isSameSubject, type Subject } from "./subject.ts";

/**
 * The subscriptions of one connection, by the ids that its client has chosen. Most
 * connections have few, and no client adds them fast: lists, which are small, will do.
 */
export class SubscriptionTable {
  readonly #maxSubscriptions: number;
  #ids: readonly string[] = [];
  /** In the same order as the ids. */
  #subscriptions: readonly ChannelSubscription[] = [];
  /** Which one is resumed first: another one each time, so that none starves. */
  #firstToResume = 0;

  constructor(maxSubscriptions: number) {
    this.#maxSubscriptions = maxSubscriptions;
  }

  get size(): number {
    return this.#ids.length;
  }

  /** Whether one of them has heartbeats. */
  get hasHeartbeats(): boolean {
    return this.#subscriptions.some(({ hasHeartbeats }) => hasHeartbeats);
  }

  get subjects(): Pick<ConnectionInfo, "collections" | "topics"> {
    const collections: string[] = [];
    const topics: string[] = [];
    for (const { subject } of this.#subscriptions) {
      if (subject.kind === "collection") collections.push(subject.collection);
      else topics.push(subject.pattern);
    }
    return { collections, topics };
  }

  /** `duplicate_subscription` when the id is in use: whatever else is wrong, that subscription goes on. */
  whyTaken(id: string | undefined): RealtimeError | undefined {
    if (id === undefined || !this.#ids.includes(id)) return undefined;
    return new RealtimeError(
      "duplicate_subscription",
      `The id "${id}" is in use on this connection: unsubscribe it first, or choose another.`,
    );
  }

  /** @throws {RealtimeError} `duplicate_subscription`, `too_many_subscriptions`. */
  requireRoom(subject: Subject): void {
    const twin = this.#subscriptions.findIndex((each) => isSameSubject(each.subject, subject));
    const other = this.#ids[twin];
    if (other !== undefined) {
      const isFiltered = subject.kind === "collection" && subject.where !== undefined;
      const what =
        subject.kind === "collection"
          ? `collection "${subject.collection}"${isFiltered ? " with this filter" : ""}`
          : `topic "${subject.pattern}"`;
      throw new RealtimeError(
        "duplicate_subscription",
        `This connection is subscribed to the ${what} already, by the id "${other}": share its events.`,
      );
    }
    if (this.size >= this.#maxSubscriptions) {
      throw new RealtimeError(
        "too_many_subscriptions",
        `A connection has ${this.#maxSubscriptions} subscriptions at most: unsubscribe some, or raise "websocket.maxSubscriptions".`,
      );
    }
  }

  add(id: string, subscription: ChannelSubscription): void {
    // Lists that grow in place, or are spread, have room for sixteen more.
    this.#ids = this.#ids.concat(id);
    this.#subscriptions = this.#subscriptions.concat(subscription);
  }

  /** Ends one, and has another in its place, to the same; false when there is none of this id. */
  replace(id: string, subscription: ChannelSubscription): boolean {
    const isThere = this.end(id);
    if (isThere) this.add(id, subscription);
    return isThere;
  }

  /** Ends one; false when there is none of this id. */
  end(id: string): boolean {
    const index = this.#ids.indexOf(id);
    const subscription = this.#subscriptions[index];
    if (subscription === undefined) return false;
    this.#ids = this.#ids.toSpliced(index, 1);
    this.#subscriptions = this.#subscriptions.toSpliced(index, 1);
    subscription.end();
    return true;
  }

  endAll(): void {
    for (const id of this.#ids) this.end(id);
  }

  entries(): readonly (readonly [id: string, subscription: ChannelSubscription])[] {
    return this.#subscriptions.map((subscription, index) => [this.#ids[index] ?? "", subscription]);
  }

  /** The peer keeps up again. */
  resume(): void {
    const all = this.#subscriptions;
    this.#firstToResume = all.length === 0 ? 0 : (this.#firstToResume + 1) % all.length;
    for (const subscription of all.slice(this.#firstToResume)) subscription.resume();
    for (const subscription of all.slice(0, this.#firstToResume)) subscription.resume();
  }

  /** The peer reads, but does not keep up yet. */
  progressed(): void {
    for (const subscription of this.#subscriptions) subscription.progressed();
  }
}
