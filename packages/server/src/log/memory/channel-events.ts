import type { Position } from "@paperdb/protocol";
import type { ChannelKey, SourceEvent } from "../../source/change-source.ts";
import type { ChannelHistory, HistoryEntry } from "../change-log.ts";

/** An entry, and its neighbours in the order in which the whole log received its events. */
export interface StoredEntry extends HistoryEntry {
  readonly owner: ChannelEvents;
  readonly bytes: number;
  readonly appendedAtMs: number;
  older: StoredEntry | undefined;
  newer: StoredEntry | undefined;
}

/** How much may come in within a turn of the event loop. */
export interface TurnLimits {
  readonly events: number;
  readonly bytes: number;
}

/** Compacted when this many forgotten slots lead the array. */
const COMPACT_AT = 1024;

/** One channel's history in memory. It forgets only what {@link MemoryLog} tells it to. */
export class ChannelEvents implements ChannelHistory {
  readonly key: ChannelKey;
  endOffset = 0;
  generation = 0;
  resetReason = "";
  /** Entries, after `#gone` slots that are forgotten. */
  #entries: (StoredEntry | undefined)[] = [];
  #gone = 0;
  #firstIndex = 0;
  #firstOffset = 0;
  #completeSince: Position | undefined;
  #begun = false;
  /** Nothing came up to here, but for what is kept, or was. */
  #reached: Position = "";
  /** Where the newest turn of the event loop has begun. */
  #turn = -1;
  #turnIndex = 0;
  #turnOffset = 0;

  constructor(key: ChannelKey) {
    this.key = key;
  }

  get firstIndex(): number {
    return this.#firstIndex;
  }

  get headIndex(): number {
    return this.#firstIndex + this.length;
  }

  /** How many events are kept. */
  get length(): number {
    return this.#entries.length - this.#gone;
  }

  /** How many bytes are kept. */
  get bytes(): number {
    return this.endOffset - this.#firstOffset;
  }

  /** Since where no event is missing; undefined before {@link begin}. */
  get completeSince(): Position | undefined {
    return this.#begun ? this.#completeSince : undefined;
  }

  /** The oldest event that is kept. */
  get oldest(): StoredEntry | undefined {
    return this.#entries[this.#gone];
  }

  begin(position: Position): void {
    if (this.#begun) return;
    this.#begun = true;
    if (this.#completeSince === undefined || this.#completeSince < position) this.#completeSince = position;
  }

  reach(position: Position): void {
    if (this.#begun && position > this.#reached) this.#reached = position;
  }

  push(event: SourceEvent, bytes: number, appendedAtMs: number): StoredEntry {
    this.endOffset += bytes;
    const entry = this.#entry(event, bytes, this.endOffset, appendedAtMs);
    this.#entries.push(entry);
    return entry;
  }

  /**
   * Puts older events before all others; the history is complete since `since` then.
   *
   * @param events - with what each weighs.
   */
  unshift(
    events: readonly { readonly event: SourceEvent; readonly bytes: number }[],
    since: Position,
    appendedAtMs: number,
  ): readonly StoredEntry[] {
    const total = events.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#firstIndex -= events.length;
    this.#firstOffset -= total;
    let endOffset = this.#firstOffset;
    const entries = events.map(({ event, bytes }) => {
      endOffset += bytes;
      return this.#entry(event, bytes, endOffset, appendedAtMs);
    });
    this.#entries = [...entries, ...this.#entries.slice(this.#gone)];
    this.#gone = 0;
    this.#completeSince = since;
    return entries;
  }

  /** To be asked after each event. @returns whether so much has come within this turn. */
  fillsTurn(turn: number, limits: TurnLimits): boolean {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#turnIndex = this.headIndex - 1;
      this.#turnOffset = this.offsetAt(this.#turnIndex);
    }
    return (
      this.headIndex - this.#turnIndex >= limits.events || this.endOffset - this.#turnOffset >= limits.bytes
    );
  }

  /** Forgets the oldest event. */
  shift(): StoredEntry {
    const entry = this.entryAt(this.#firstIndex);
    this.#entries[this.#gone] = undefined;
    this.#gone += 1;
    this.#firstIndex += 1;
    this.#firstOffset = entry.endOffset;
    if (this.#completeSince === undefined || this.#completeSince < entry.event.position) {
      this.#completeSince = entry.event.position;
    }
    if (this.#gone >= COMPACT_AT && this.#gone * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#gone);
      this.#gone = 0;
    }
    return entry;
  }

  /** Starts a new generation at `position`, or at the newest event; the caller has forgotten all events. */
  reset(position: Position, reason: string): void {
    if (this.#completeSince === undefined || this.#completeSince < position) this.#completeSince = position;
    this.generation += 1;
    this.resetReason = reason;
  }

  entryAt(index: number): StoredEntry {
    const entry = this.#entries[index - this.#firstIndex + this.#gone];
    if (entry === undefined) throw new RangeError(`no event is kept at place ${index}`);
    return entry;
  }

  positionAt(index: number): Position {
    const position = this.#positionBefore(index);
    return index === this.headIndex && this.#reached > position ? this.#reached : position;
  }

  #positionBefore(index: number): Position {
    if (index <= this.#firstIndex) return this.#completeSince ?? "";
    const { position } = this.entryAt(index - 1).event;
    return this.#completeSince === undefined || position > this.#completeSince
      ? position
      : this.#completeSince;
  }

  offsetAt(index: number): number {
    return index <= this.#firstIndex ? this.#firstOffset : this.entryAt(index - 1).endOffset;
  }

  indexAfter(position: Position): number | undefined {
    if (this.#completeSince === undefined || position < this.#completeSince) return undefined;
    if (position > this.positionAt(this.headIndex)) return undefined;
    let low = this.#firstIndex;
    let high = this.headIndex;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.entryAt(middle).event.position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #entry(event: SourceEvent, bytes: number, endOffset: number, appendedAtMs: number): StoredEntry {
    return {
      event,
      endOffset,
      frames: undefined,
      owner: this,
      bytes,
      appendedAtMs,
      older: undefined,
      newer: undefined,
    };
  }
}
