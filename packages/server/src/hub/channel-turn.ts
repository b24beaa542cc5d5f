import type { Channel } from "./channel.ts";
import type { Subscription } from "./subscription.ts";
import type { Turn } from "./turn-queue.ts";
import type { View } from "./view.ts";

/** Who does what a {@link ChannelTurn} finds to do. */
export interface TurnWork {
  /** Writes the next slice to a subscription that flows; returns what it has cost, in writes. */
  deliver(subscription: Subscription): number;
  /** The events that were written were the channel's. */
  tellDelivered(channel: Channel): void;
  /** All subscriptions of the channel were visited: its events up to this place were offered. */
  measured(channel: Channel, upToIndex: number): void;
}

/**
 * Passes over what a channel has to do, as long as there is something: the subscriptions that can go on by themselves,
 * then all those that flow of the views with something new.
 */
export class ChannelTurn implements Turn {
  hasMore = true;
  readonly #channel: Channel;
  readonly #work: TurnWork;
  #ready: readonly Subscription[] = [];
  #views: readonly View[] = [];
  /** How many of those were visited, and how many views begun with. */
  #visited = 0;
  #begunViews = 0;
  /** Of the view that was begun with last, those from this seat on were visited: see `Roster`. */
  #seat = 0;
  /** The history's when the pass began; undefined before the first one, which has all that has come until then. */
  #headAtStart: number | undefined;

  constructor(channel: Channel, work: TurnWork) {
    this.#channel = channel;
    this.#work = work;
  }

  run(budget: number): number {
    let cost = 0;
    if (this.#headAtStart === undefined) this.#beginPass();
    while (cost < budget) {
      const next = this.#next();
      if (next !== undefined) {
        cost += this.#work.deliver(next);
        if (next.hasMore) this.#channel.markReady(next);
      } else if (this.#begunViews < this.#views.length) this.#beginView();
      else {
        this.#endPass();
        if (!this.hasMore) break;
        this.#beginPass();
      }
    }
    this.#work.tellDelivered(this.#channel);
    return cost;
  }

  /** The next subscription of the pass that flows; undefined before the next view. */
  #next(): Subscription | undefined {
    while (this.#visited < this.#ready.length) {
      const next = this.#ready[this.#visited];
      this.#visited += 1;
      if (next === undefined) continue;
      next.isReady = false;
      if (next.view.roster.isFlowing(next)) return next;
    }
    if (this.#seat <= 0) return undefined;
    const roster = this.#views[this.#begunViews - 1]?.roster;
    if (roster === undefined) return undefined;
    this.#seat = Math.min(this.#seat, roster.flowing) - 1;
    return roster.members[this.#seat];
  }

  #beginView(): void {
    this.#seat = this.#views[this.#begunViews]?.roster.flowing ?? 0;
    this.#begunViews += 1;
  }

  #beginPass(): void {
    this.#headAtStart = this.#channel.history.headIndex;
    this.#ready = this.#channel.takeReady();
    this.#views = this.#channel.takeDue();
    this.#visited = 0;
    this.#begunViews = 0;
  }

  #endPass(): void {
    const { history, hasWork } = this.#channel;
    this.#work.measured(this.#channel, Math.min(this.#headAtStart ?? 0, history.headIndex));
    this.hasMore = hasWork || history.headIndex !== this.#headAtStart;
    this.#channel.scheduled = this.hasMore;
  }
}
