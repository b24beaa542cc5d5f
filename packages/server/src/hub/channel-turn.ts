import type { Channel } from "./channel.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Turn } from "./turn-queue.ts";
import type { View } from "./view.ts";

/** Goes over the flowing subscriptions of a channel's due views, again as long as there is something new. */
export class ChannelTurn implements Turn {
  hasMore = true;
  readonly #channel: Channel;
  readonly #dispatcher: Dispatcher;
  #views: readonly View[];
  /** Views of this pass that were gone over, or begun with. */
  #begunViews = 0;
  /** Subscriptions of the view that was begun with last before which all were visited: see `Roster`. */
  #seat = 0;
  #headAtStart: number;

  constructor(channel: Channel, dispatcher: Dispatcher) {
    this.#channel = channel;
    this.#dispatcher = dispatcher;
    this.#headAtStart = channel.history.headIndex;
    this.#views = channel.takeDue();
  }

  run(budget: number): number {
    let cost = 0;
    while (this.hasMore && cost < budget) {
      const view = this.#views[this.#begunViews - 1];
      if (view !== undefined && this.#seat > 0) cost += this.#visit(view, budget - cost);
      else this.#beginView();
    }
    this.#dispatcher.tellDelivered(this.#channel);
    return cost;
  }

  #visit(view: View, budget: number): number {
    const { roster } = view;
    let cost = 0;
    while (cost < budget) {
      this.#seat = Math.min(this.#seat, roster.flowing) - 1;
      const subscription = roster.members[this.#seat];
      if (subscription === undefined) break;
      cost += this.#dispatcher.deliver(subscription);
      if (subscription.hasMore) this.#channel.markDue(view);
    }
    return cost;
  }

  #beginView(): void {
    const view = this.#views[this.#begunViews];
    if (view === undefined) {
      this.#beginPass();
      return;
    }
    this.#begunViews += 1;
    this.#seat = view.roster.flowing;
  }

  /** After a pass: begins the next one where it has something to do. */
  #beginPass(): void {
    const { history, hasDue } = this.#channel;
    this.#dispatcher.measured(this.#channel, Math.min(this.#headAtStart, history.headIndex));
    if (!hasDue && history.headIndex === this.#headAtStart) {
      this.hasMore = false;
      this.#channel.scheduled = false;
      return;
    }
    this.#headAtStart = history.headIndex;
    this.#views = this.#channel.takeDue();
    this.#begunViews = 0;
  }
}
