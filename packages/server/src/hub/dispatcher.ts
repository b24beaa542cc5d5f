import type { SourceEvent } from "../source/change-source.ts";
import type { Channel } from "./channel.ts";
import { Round } from "./round.ts";
import type { Subscription } from "./subscription.ts";

/** What the dispatcher tells about its work. */
export interface DispatchObserver {
  /** `count` events were written to one subscription. */
  delivered(channel: Channel, count: number): void;
  /** An event was offered to all subscriptions of its channel for the first time. */
  offered(event: SourceEvent): void;
  /** A peer does not keep up any more. */
  blocked(subscription: Subscription): void;
  /** What comes next in the history is forgotten, so the subscription cannot go on. */
  fellBehind(subscription: Subscription): void;
  /** The subscription is reset, and its client wants documents first. */
  wantsSnapshot(subscription: Subscription): void;
  /** A reset was sent. */
  reset(subscription: Subscription, reason: string): void;
}

/** Writes between two looks at the event loop. */
const WRITES_PER_TURN = 256;

/** A piece of work that can be put off after some writes. */
interface Turn {
  /** Does work worth `budget` writes, not much more; returns how many are left of it, and whether there is more to do. */
  run(budget: number): { left: number; more: boolean };
}

/**
 * The hot path: brings subscriptions from their places to the heads of their
 * channels. Channels take turns of a few hundred writes, so a large channel
 * does not delay a small one; what arrives meanwhile is in the next turn, so a
 * busy channel sends several events per write without a timer.
 */
export class Dispatcher {
  readonly #observer: DispatchObserver;
  #turns: Turn[] = [];
  #running = false;
  readonly #round = new Round();

  constructor(observer: DispatchObserver) {
    this.#observer = observer;
  }

  /** The channel has something new for all its subscriptions. */
  scheduleChannel(channel: Channel): void {
    if (channel.scheduled) return;
    channel.scheduled = true;
    this.#enqueue(new ChannelTurn(channel, this));
  }

  /** One subscription can go on: it is new, or its peer keeps up again. */
  scheduleSubscription(subscription: Subscription): void {
    this.#enqueue({
      run: (budget) => {
        const more = this.deliver(subscription);
        return { left: budget - this.takeCost(), more };
      },
    });
  }

  /**
   * Writes the next slice to one subscription.
   *
   * @returns whether it can take another one at once.
   */
  deliver(subscription: Subscription): boolean {
    const { history } = subscription.channel;
    if (subscription.closed || subscription.feed !== undefined || subscription.blockedSinceMs !== undefined)
      return false;
    // Another subscription of its connection may have filled the socket.
    if (!subscription.target.keepsUp) return this.#block(subscription);
    if (subscription.generation !== history.generation) return this.#reset(subscription);
    if (subscription.isAtHead) return false;
    if (subscription.place < history.firstIndex) {
      this.#observer.fellBehind(subscription);
      return false;
    }
    const slice = subscription.view.sliceAt(subscription.place, this.#round);
    subscription.moveTo(slice.nextIndex);
    if (slice.frames !== undefined) {
      this.#observer.delivered(subscription.channel, slice.count);
      if (!subscription.target.write(slice.frames)) return this.#block(subscription);
    }
    return !subscription.isAtHead;
  }

  /** What the last delivery has cost, in writes. */
  takeCost(): number {
    return 1 + this.#round.takeParsed();
  }

  /** All subscriptions of the channel were visited: its events up to this place were offered. */
  measured(channel: Channel, upToIndex: number): void {
    const { history } = channel;
    for (let index = Math.max(channel.measuredIndex, history.firstIndex); index < upToIndex; index += 1) {
      this.#observer.offered(history.entryAt(index).event);
    }
    channel.measuredIndex = upToIndex;
  }

  #reset(subscription: Subscription): boolean {
    const { history } = subscription.channel;
    const { view } = subscription;
    subscription.generation = history.generation;
    // What came after the loss is still to be sent.
    const place = history.firstIndex;
    subscription.moveTo(place);
    this.#observer.reset(subscription, history.resetReason);
    if (subscription.hasSnapshots) {
      this.#observer.wantsSnapshot(subscription);
      return false;
    }
    const keepsUp = subscription.target.greet({
      channel: view.name,
      cursor: view.cursorAt(place),
      resumed: false,
      resetReason: history.resetReason,
    });
    if (!keepsUp) return this.#block(subscription);
    return !subscription.isAtHead;
  }

  #block(subscription: Subscription): false {
    if (!subscription.closed) this.#observer.blocked(subscription);
    return false;
  }

  #enqueue(turn: Turn): void {
    this.#turns.push(turn);
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#runTurns);
  }

  readonly #runTurns = (): void => {
    const turns = this.#turns;
    this.#turns = [];
    let next = 0;
    let budget = WRITES_PER_TURN;
    for (; next < turns.length && budget > 0; next += 1) {
      const turn = turns[next];
      const result = turn?.run(budget);
      if (turn === undefined || result === undefined) continue;
      budget = result.left;
      if (result.more) this.#turns.push(turn);
    }
    if (next < turns.length) this.#turns = [...turns.slice(next), ...this.#turns];
    if (this.#turns.length > 0) {
      setImmediate(this.#runTurns);
      return;
    }
    this.#running = false;
    this.#round.end();
  };
}

/** Visits the flowing subscriptions of a channel's due views, again as long as there is something new. */
class ChannelTurn implements Turn {
  readonly #channel: Channel;
  readonly #dispatcher: Dispatcher;
  #pass: Iterator<Subscription>;
  #headAtStart: number;

  constructor(channel: Channel, dispatcher: Dispatcher) {
    this.#channel = channel;
    this.#dispatcher = dispatcher;
    this.#pass = flowing(channel);
    this.#headAtStart = channel.history.headIndex;
  }

  run(budget: number): { left: number; more: boolean } {
    let left = budget;
    while (left > 0) {
      const next = this.#pass.next();
      if (next.done === true) return { left, more: this.#startAgain() };
      if (this.#dispatcher.deliver(next.value)) this.#channel.markDue(next.value.view);
      left -= this.#dispatcher.takeCost();
    }
    return { left, more: true };
  }

  /** After a pass: begins the next one where it has something to do. */
  #startAgain(): boolean {
    const { history } = this.#channel;
    this.#dispatcher.measured(this.#channel, Math.min(this.#headAtStart, history.headIndex));
    if (!this.#channel.hasDue && history.headIndex === this.#headAtStart) {
      this.#channel.scheduled = false;
      return false;
    }
    this.#headAtStart = history.headIndex;
    this.#pass = flowing(this.#channel);
    return true;
  }
}

function* flowing(channel: Channel): Generator<Subscription> {
  for (const view of channel.takeDue()) {
    for (const subscription of view.subscriptions) {
      if (subscription.blockedSinceMs === undefined) yield subscription;
    }
  }
}
