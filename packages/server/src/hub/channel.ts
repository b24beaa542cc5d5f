import { cursorPrefix, parseCursor } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";
import type { ChangeSource, ChannelKey } from "../source/change-source.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";
import { View } from "./view.ts";

/** A channel that is in use: its history, and its subscriptions by view. */
export class Channel {
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
  readonly #cursorPrefix: string;

  constructor(key: ChannelKey, source: ChangeSource, history: ChannelHistory) {
    this.key = key;
    this.source = source;
    this.history = history;
    this.#cursorPrefix = cursorPrefix(source.name, source.epoch);
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
      view = new View(this.history, this.#cursorPrefix, format, filter, maxSliceBytes);
      byFilter.set(filterId, view);
    }
    return view;
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
    const parsed = parseCursor(cursor);
    if (parsed === undefined) return undefined;
    if (parsed.source !== this.source.name || parsed.epoch !== this.source.epoch) return undefined;
    return this.history.indexAfter(parsed.position);
  }
}
