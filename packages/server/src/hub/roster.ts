import type { Subscription } from "./subscription.ts";

/**
 * The subscriptions of a view. Those that flow come first, so that the others, whose peers do not
 * keep up or get documents first, cost nothing until they flow again.
 *
 * Who goes through the flowing ones from the last to the first meets each at least once, whatever joins, leaves, or
 * stops to flow meanwhile; but for those that begin to flow, which have to be visited on their own.
 */
export class Roster {
  #members: Subscription[] = [];
  #flowing = 0;

  get size(): number {
    return this.#members.length;
  }

  /** How many flow. */
  get flowing(): number {
    return this.#flowing;
  }

  get members(): readonly Subscription[] {
    return this.#members;
  }

  /** It does not flow yet. */
  add(subscription: Subscription): void {
    subscription.seat = this.#members.length;
    // Most views have one: an empty array would get room for many.
    if (this.#members.length === 0) this.#members = [subscription];
    else this.#members.push(subscription);
  }

  delete(subscription: Subscription): void {
    this.hold(subscription);
    this.#seat(subscription, this.#members.length - 1);
    this.#members.pop();
  }

  /** It can be visited. */
  release(subscription: Subscription): void {
    if (subscription.seat < this.#flowing) return;
    this.#seat(subscription, this.#flowing);
    this.#flowing += 1;
  }

  /** It cannot be visited until {@link release}. */
  hold(subscription: Subscription): void {
    if (subscription.seat >= this.#flowing) return;
    this.#flowing -= 1;
    this.#seat(subscription, this.#flowing);
  }

  isFlowing(subscription: Subscription): boolean {
    return subscription.seat < this.#flowing && this.#members[subscription.seat] === subscription;
  }

  /** Lets a member and the one in a seat change places. */
  #seat(subscription: Subscription, seat: number): void {
    const other = this.#members[seat];
    if (other === undefined) return;
    this.#members[subscription.seat] = other;
    other.seat = subscription.seat;
    this.#members[seat] = subscription;
    subscription.seat = seat;
  }
}
