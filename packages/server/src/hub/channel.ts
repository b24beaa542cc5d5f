import { cursorPrefix, parseCursor, type Position } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";
import type { ChangeSource, ChannelKey } from "../source/change-source.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";
import { View } from "./view.ts";

/** A channel that is in use: its history, and its subscriptions by view. */
export class Channel {
  /** Short, and never used for another channel of this server. */
  readonly name: string;
  readonly key: ChannelKey;
  readonly source: ChangeSource;
  readonly history: ChannelHistory;
  readonly views = new Map<FrameFormat, Map<string, View>>();
  /** Subscriptions, and callers that are about to subscribe. */
  users = 0;
  /** Since when it has no users. */
  idleSinceMs: number | undefined;
  /** Whether it waits for, or is having, its turn in the dispatcher. */
  scheduled = false;
  /** The place up to which its events' latency was measured. */
  measuredIndex = 0;
  /** Set while older events are put before its history. */
  reachingBack: Promise<void> | undefined;

  /** Views made so far: those with a filter are named by it. */
  #filteredViews = 0;

  constructor(name: string, key: ChannelKey, source: ChangeSource, history: ChannelHistory) {
    this.name = name;
    this.key = key;
    this.source = source;
    this.history = history;
  }

  view(format: FrameFormat, filter: EventFilter | undefined, maxSliceBytes: number): View {
    let byFilter = this.views.get(format);
    if (byFilter === undefined) {
      byFilter = new Map();
      this.views.set(format, byFilter);
    }
    const filterId = filter?.id ?? "";
    let view = byFilter.get(filterId);
    if (view === undefined) {
      // A source knows its epoch once it is live, which it is when somebody subscribes.
      const prefix = cursorPrefix(this.source.name, this.source.epoch);
      view = new View(this.history, prefix, this.#viewName(filter), format, filter, maxSliceBytes);
      byFilter.set(filterId, view);
    }
    return view;
  }

  /** Frames of all views without a filter are shared, also with those to come. */
  #viewName(filter: EventFilter | undefined): string {
    if (filter === undefined) return this.name;
    this.#filteredViews += 1;
    return `${this.name}.${this.#filteredViews.toString(36)}`;
  }

  /** Forgets a view without subscriptions. */
  dropView(view: View): void {
    const byFilter = this.views.get(view.format);
    byFilter?.delete(view.filterId);
    if (byFilter?.size === 0) this.views.delete(view.format);
  }

  /** All its subscriptions: known by their views. */
  *subscriptions(): Generator<Subscription> {
    for (const byFilter of this.views.values()) {
      for (const view of byFilter.values()) yield* view.subscriptions;
    }
  }

  /** The place where a client with this cursor goes on; undefined when it has to be reset. */
  placeOf(cursor: string): number | undefined {
    const position = this.positionOf(cursor);
    if (position === undefined) return undefined;
    const index = this.history.indexAfter(position);
    return index === undefined || this.#isContradicted(position, index) ? undefined : index;
  }

  /** A cursor's position; undefined when it is none of this source and epoch. */
  positionOf(cursor: string): Position | undefined {
    const parsed = parseCursor(cursor);
    const { source } = this;
    if (parsed?.source !== source.name || parsed.epoch !== source.epoch) return undefined;
    return source.isPosition?.(parsed.position) === false ? undefined : parsed.position;
  }

  /** Whether the event at the client's place is not the one that it has seen. */
  #isContradicted(position: Position, index: number): boolean {
    const { firstIndex, headIndex } = this.history;
    for (const neighbour of [index - 1, index]) {
      if (neighbour < firstIndex || neighbour >= headIndex) continue;
      const { event } = this.history.entryAt(neighbour);
      if (this.source.contradicts?.(position, event.position) === true) return true;
    }
    return false;
  }
}
