import type { DeliveryTarget, FrameWriter } from "./delivery.ts";
import type { Channel } from "./channel.ts";
import { AT_HEAD, type View } from "./view.ts";

/** What brings a subscription to its place. */
interface Feed {
  /** The peer keeps up again. */
  wake(): void;
  /** The subscription is over. */
  close(): void;
}

/** One client's place in one channel's history. */
export class Subscription {
  readonly target: DeliveryTarget;
  /** The target's: one step less for each write. */
  readonly writer: FrameWriter;
  readonly channel: Channel;
  readonly view: View;
  /** The place of the next event to send: the history's head when there is none, or {@link AT_HEAD}. */
  place: number;
  /** The history's generation that {@link place} belongs to. */
  generation: number;
  /** Its place in the view's {@link Roster}, which sets it. */
  seat = -1;
  /** Whether its channel is to visit it, whatever is new. */
  isReady = false;
  /** Who is told at the same tick where they stand: set by `Heartbeats`. */
  beat: Set<Subscription> | undefined;
  /** Since when the peer has taken nothing while it does not keep up; undefined while it does. */
  blockedSinceMs: number | undefined;
  closed = false;
  /** Whether documents come before `ready`, at the start and after each reset. */
  readonly hasSnapshots: boolean;
  /** Set while documents are being sent: until then it has no place. */
  feed: Feed | undefined;

  constructor(target: DeliveryTarget, channel: Channel, view: View, place: number, hasSnapshots = false) {
    this.hasSnapshots = hasSnapshots;
    this.target = target;
    this.writer = target.writer;
    this.channel = channel;
    this.view = view;
    this.place = view.settle(place);
    this.generation = view.history.generation;
  }

  /** Whether nothing is left to send. */
  get isAtHead(): boolean {
    return this.place === AT_HEAD || this.place === this.view.history.headIndex;
  }

  /** Whether it can be visited, and is to be. */
  get hasMore(): boolean {
    return !this.isAtHead && this.view.roster.isFlowing(this);
  }

  /** Goes on from this place. */
  moveTo(place: number): void {
    this.place = this.view.settle(place);
  }
}
