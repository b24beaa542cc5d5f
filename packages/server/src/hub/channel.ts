import { cursorPrefix } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";
import type { ChangeSource, ChannelKey } from "../source/change-source.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";
import { FilteredViews } from "./filtered-views.ts";
import { ParsedDocuments } from "./event-documents.ts";
import { View } from "./view.ts";

/** An array for all that have nothing in theirs. It stays empty. */
const NONE: never[] = [];

/** A channel that is in use: its history, and its subscriptions by view. */
export class Channel {
  /** Short, and never used for another channel of this server. */
  readonly name: string;
  readonly key: ChannelKey;
  readonly source: ChangeSource;
  readonly history: ChannelHistory;
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

  /** Views without a filter, one of each format: every event is for them. */
  #unfiltered: readonly View[] = [];
  /** Only where there is one. */
  #filtered: FilteredViews | undefined;
  /** Views with something new, and subscriptions that can go on by themselves. */
  #due: View[] = NONE;
  #ready: Subscription[] = NONE;
  /** The place up to which events were offered to views, and the history's generation then. */
  #offeredUpTo: number;
  #generation: number;
  #cursorPrefix = "";
  /** Views made so far: those with a filter are named by it. */
  #namedViews = 0;

  constructor(name: string, key: ChannelKey, source: ChangeSource, history: ChannelHistory) {
    this.name = name;
    this.key = key;
    this.source = source;
    this.history = history;
    this.#offeredUpTo = history.headIndex;
    this.#generation = history.generation;
  }

  /** Finds the views that what is new in the history concerns. */
  advance(): void {
    const { generation, headIndex } = this.history;
    for (const view of this.#unfiltered) this.markDue(view);
    // A source that begins a new epoch says that changes were lost.
    if (generation !== this.#generation) this.#takeEpoch();
    if (this.#filtered !== undefined) this.#offerTo(this.#filtered);
    this.#generation = generation;
    this.#offeredUpTo = headIndex;
  }

  /** Clients that have seen all stand where the source stands, so that those of a quiet channel do not fall behind. */
  reach(): void {
    const position = this.source.position?.(this.key);
    if (position !== undefined) this.history.reach(position);
  }

  /** What the cursors of this generation begin with. */
  get cursorPrefix(): string {
    return this.#cursorPrefix;
  }

  /** All of this view's subscriptions that flow are to be visited. */
  markDue(view: View): void {
    if (view.isDue) return;
    view.isDue = true;
    if (this.#due === NONE) this.#due = [view];
    else this.#due.push(view);
  }

  /** This subscription is to be visited. */
  markReady(subscription: Subscription): void {
    if (subscription.isReady) return;
    subscription.isReady = true;
    if (this.#ready === NONE) this.#ready = [subscription];
    else this.#ready.push(subscription);
  }

  /** The views that were marked, each time once. */
  takeDue(): readonly View[] {
    const due = this.#due;
    this.#due = NONE;
    for (const view of due) view.isDue = false;
    return due;
  }

  /** The subscriptions that were marked: whoever visits one takes its mark away. */
  takeReady(): readonly Subscription[] {
    const ready = this.#ready;
    this.#ready = NONE;
    return ready;
  }

  /** Whether something is marked. */
  get hasWork(): boolean {
    return this.#due.length > 0 || this.#ready.length > 0;
  }

  view(format: FrameFormat, filter: EventFilter | undefined, maxSliceBytes: number): View {
    // A source knows its epoch once it is live, which it is when somebody subscribes.
    if (this.#unfiltered.length === 0 && this.#filtered === undefined) this.#takeEpoch();
    const known =
      filter === undefined
        ? this.#unfiltered.find((view) => view.format === format)
        : this.#filtered?.find(format, filter);
    if (known !== undefined) return known;
    const view = new View({
      history: this.history,
      channel: this,
      name: this.#viewName(filter),
      format,
      filter,
      maxSliceBytes,
    });
    if (filter === undefined) this.#unfiltered = this.#unfiltered.concat(view);
    else {
      this.#filtered ??= new FilteredViews();
      this.#filtered.add(view, filter);
    }
    return view;
  }

  /** Frames of all views without a filter are shared, also with those to come. */
  #viewName(filter: EventFilter | undefined): string {
    if (filter === undefined) return this.name;
    this.#namedViews += 1;
    return `${this.name}.${this.#namedViews.toString(36)}`;
  }

  /** What an event may take that no view sees, in comparisons; and what one more filter would add to it. */
  triedWith(filter: EventFilter): { readonly tried: number; readonly added: number } {
    const filtered = this.#filtered ?? new FilteredViews();
    const { index } = filtered;
    return { tried: index.tried, added: filtered.has(filter) ? 0 : index.addedBy(filter) };
  }

  /** Forgets a view without subscriptions. */
  dropView(view: View): void {
    if (view.filter === undefined) this.#unfiltered = this.#unfiltered.filter((other) => other !== view);
    else this.#filtered?.delete(view, view.filter);
    if (this.#filtered?.index.size === 0) this.#filtered = undefined;
  }

  /** All its subscriptions as they are now. */
  subscriptions(): readonly Subscription[] {
    const views = [...this.#unfiltered, ...(this.#filtered?.index.all ?? [])];
    return views.flatMap(({ roster }) => roster.members);
  }

  #takeEpoch(): void {
    this.#cursorPrefix = cursorPrefix(this.source.name, this.source.epoch);
  }

  #offerTo(filtered: FilteredViews): void {
    const { generation, firstIndex, headIndex } = this.history;
    if (generation !== this.#generation) filtered.index.forEach((view) => this.markDue(view));
    else if (this.#offeredUpTo < firstIndex) this.#overtaken(filtered);
    for (let place = Math.max(this.#offeredUpTo, firstIndex); place < headIndex; place += 1) {
      const documents = new ParsedDocuments(this.history.entryAt(place).event);
      filtered.index.visitCandidates(documents, (view) => {
        if (view.offer(place, documents)) this.markDue(view);
      });
    }
  }

  /** Events were forgotten before they were offered. */
  #overtaken({ index }: FilteredViews): void {
    index.forEach((view) => {
      view.wake(this.#offeredUpTo);
      this.markDue(view);
    });
  }
}
