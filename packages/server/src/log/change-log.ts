import type { Position } from "@paperdb/protocol";
import type { ChangeSink, ChannelKey, SourceEvent } from "../source/change-source.ts";
import type { EventFrames } from "./event-frames.ts";

/** One event in a channel's history. */
export interface HistoryEntry {
  readonly event: SourceEvent;
  /** Bytes appended to the channel up to and including this event. */
  readonly endOffset: number;
  /** The event as wire formats write it: encoded once, by whoever needs it first, and kept for as long as others may. */
  frames: EventFrames | undefined;
}

/**
 * The recent events of one channel, oldest first.
 *
 * A place in it is an index: the number of events that the channel had before since it was opened.
 * Catch-up and live delivery are both "what is at this place and after it".
 */
export interface ChannelHistory {
  readonly key: ChannelKey;
  /** The oldest place that can be read; below zero where older events were put before it. */
  readonly firstIndex: number;
  /** The place after the newest event. */
  readonly headIndex: number;
  /** Bytes appended since the channel was opened. */
  readonly endOffset: number;
  /** Since where no event is missing; undefined before {@link begin}. */
  readonly completeSince: Position | undefined;
  /** Grows with each reset: what a subscription has seen of an older one is void. */
  readonly generation: number;
  /** Why the generation last grew. */
  readonly resetReason: string;
  /** The source watches the channel: none is missed since `position`. */
  begin(position: Position): void;
  /** No event is missing up to `position`, where clients may go on that have seen all. */
  reach(position: Position): void;
  /** The event at a place between {@link firstIndex} and {@link headIndex}. */
  entryAt(index: number): HistoryEntry;
  /** The position that a subscription at this place has seen last. */
  positionAt(index: number): Position;
  /** Bytes appended before this place. */
  offsetAt(index: number): number;
  /** The place after `position`; undefined when events after it are forgotten, or it is none of this channel's. */
  indexAfter(position: Position): number | undefined;
}

/** What the hub is told by the log. */
export interface LogListener {
  /** Whether there is more to deliver than the event loop's last turn could take. */
  readonly isBehind: boolean;
  /** The history has new events, or a new generation. */
  advanced(history: ChannelHistory): void;
  /** The collection exists no more. */
  ended(history: ChannelHistory, reason: string): void;
}

/** Orders the events of each channel and keeps the recent ones. */
export interface ChangeLog {
  /** What the source of this name pushes into. Its "all" are the channels opened for that source. */
  sinkFor(source: string): ChangeSink;
  /** Must be called before the first event. */
  attach(listener: LogListener): void;
  /** Starts to keep a channel's events. Events of channels that are not open are not kept. */
  open(source: string, key: ChannelKey): ChannelHistory;
  /**
   * Puts older events before a channel's history, which is complete since `since` then.
   *
   * @param events - all that lie after `since` up to the history's `completeSince`, ascending.
   * @returns false when they do not fit the bounds: the history stays as it is.
   */
  prepend(history: ChannelHistory, events: readonly SourceEvent[], since: Position): boolean;
  /** Forgets a channel. */
  close(source: string, history: ChannelHistory): void;
  stats(): LogStats;
}

/** What the log holds at the moment. */
export interface LogStats {
  readonly channels: number;
  readonly events: number;
  readonly bytes: number;
}
