import type { SourceEvent } from "../source/change-source.ts";
import type { Channel } from "./channel.ts";
import { ChannelTurn, type TurnWork } from "./channel-turn.ts";
import { Round } from "./round.ts";
import type { Subscription } from "./subscription.ts";
import { TurnQueue } from "./turn-queue.ts";

/** What the dispatcher tells about its work. */
export interface DispatchObserver {
  /** So many events were written to subscriptions of the channel. */
  delivered(channel: Channel, count: number): void;
  /** An event was offered to all subscriptions of its channel for the first time. */
  offered(event: SourceEvent): void;
  /** A peer does not keep up any more: the subscription flows no more, or is closed. */
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
/** Writes of one channel before it is another one's turn. */
const WRITES_PER_SHARE = 64;
/** A large slice takes as long as several small ones. */
const BYTES_PER_WRITE = 16_384;
/** To find that there is nothing to do takes a small part of a write. */
const LOOK = 1 / 64;

/**
 * The hot path: brings subscriptions from their places to the heads of their
 * channels. Channels take turns of a few writes, so a large channel
 * does not delay a small one; what arrives meanwhile is in the next turn, so a
 * busy channel sends several events per write without a timer.
 */
export class Dispatcher implements TurnWork {
  readonly #observer: DispatchObserver;
  readonly #turns = new TurnQueue();
  #isRunning = false;
  /** Events that were written since the last {@link tellDelivered}. */
  #written = 0;
  readonly #round: Round;

  /** @param maxSharedBytes - kept for those that have the same to do, until nothing is left to do. */
  constructor(observer: DispatchObserver, maxSharedBytes: number) {
    this.#observer = observer;
    this.#round = new Round(maxSharedBytes);
  }

  /** Whether the last turn has left something to do. */
  get isBehind(): boolean {
    return this.#turns.size > 0;
  }

  /** The channel has something to do. */
  scheduleChannel(channel: Channel): void {
    if (channel.scheduled) return;
    channel.scheduled = true;
    this.#turns.begin(new ChannelTurn(channel, this));
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(this.#runTurns);
  }

  /** One subscription can go on: it is new, or its peer keeps up again. */
  scheduleSubscription(subscription: Subscription): void {
    const { channel } = subscription;
    channel.markReady(subscription);
    this.scheduleChannel(channel);
  }

  /**
   * Writes the next slice to a subscription that flows.
   *
   * @returns what it has cost, in writes.
   */
  deliver(subscription: Subscription): number {
    const { view, place, writer } = subscription;
    const { history } = view;
    const isCurrent = subscription.generation === history.generation;
    if (isCurrent && subscription.isAtHead) return LOOK;
    // Another subscription of its connection may have filled the socket.
    if (!writer.keepsUp) {
      this.#observer.blocked(subscription);
      return LOOK;
    }
    if (!isCurrent) return this.#reset(subscription);
    if (place < history.firstIndex) {
      this.#observer.fellBehind(subscription);
      return 1;
    }
    const { frames, count, nextIndex } = view.sliceAt(place, this.#round);
    subscription.moveTo(nextIndex);
    if (frames === undefined) return 1 + this.#round.takeParsed();
    this.#written += count;
    if (!writer.write(frames)) this.#observer.blocked(subscription);
    return 1 + frames.length / BYTES_PER_WRITE + this.#round.takeParsed();
  }

  /** The events that were written were the channel's. */
  tellDelivered(channel: Channel): void {
    if (this.#written > 0) this.#observer.delivered(channel, this.#written);
    this.#written = 0;
  }

  /** All subscriptions of the channel were visited: its events up to this place were offered. */
  measured(channel: Channel, upToIndex: number): void {
    const { history } = channel;
    for (let index = Math.max(channel.measuredIndex, history.firstIndex); index < upToIndex; index += 1) {
      this.#observer.offered(history.entryAt(index).event);
    }
    channel.measuredIndex = upToIndex;
  }

  #reset(subscription: Subscription): number {
    const { history } = subscription.channel;
    const { view } = subscription;
    subscription.generation = history.generation;
    // What came after the loss is still to be sent.
    const place = history.firstIndex;
    subscription.moveTo(place);
    this.#observer.reset(subscription, history.resetReason);
    if (subscription.hasSnapshots) {
      view.roster.hold(subscription);
      this.#observer.wantsSnapshot(subscription);
      return 1;
    }
    const keepsUp = subscription.target.greet({
      channel: view.name,
      cursor: view.cursorAt(place),
      resumed: false,
      resetReason: history.resetReason,
    });
    if (!keepsUp) this.#observer.blocked(subscription);
    return 1;
  }

  readonly #runTurns = (): void => {
    let left = WRITES_PER_TURN;
    while (left > 0) {
      const turn = this.#turns.take(left > WRITES_PER_TURN / 2);
      if (turn === undefined) break;
      left -= turn.run(Math.min(left, WRITES_PER_SHARE));
      if (turn.hasMore) this.#turns.continue(turn);
    }
    if (this.#turns.size > 0) {
      setImmediate(this.#runTurns);
      return;
    }
    this.#isRunning = false;
    this.#round.end();
  };
}
