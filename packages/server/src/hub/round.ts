import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments, EventFilter, Sight } from "./delivery.ts";
import { ParsedDocuments } from "./event-documents.ts";
import { EventKeys } from "./event-keys.ts";
import type { HistoryEntry } from "../log/change-log.ts";

/** Parsed documents weigh several times their text. */
const WEIGHT_OF_PARSED = 4;

/** What has frames that others may need. */
export interface FrameKeeper {
  forget(): void;
}

/** What is kept for all that have the same to do, most of it until the dispatcher has nothing left to do. */
export class Round {
  readonly #maxBytes: number;
  readonly #slices = new Set<FrameKeeper>();
  #entries: HistoryEntry[] = [];
  #keptBytes = 0;
  readonly #documents = new Map<SourceEvent, EventDocuments>();
  #keptCharacters = 0;
  readonly #keys: EventKeys;
  #parsed = 0;

  /** @param maxBytes - of encoded frames, of parsed documents, and of keys. What is beyond it is made again, by those that come later. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#keys = new EventKeys(maxBytes);
  }

  /** Among these are slices that are to be forgotten, so many bytes more. */
  keepSlicesOf(slices: FrameKeeper, bytes: number): void {
    this.#slices.add(slices);
    this.#keep(bytes);
  }

  /** This entry has frames that are to be forgotten, so many bytes more. */
  keepFramesOf(entry: HistoryEntry, bytes: number): void {
    this.#entries.push(entry);
    this.#keep(bytes);
  }

  /** How a filter that goes through the history sees an event. */
  sightOf(event: SourceEvent, filter: EventFilter): Sight {
    const { term } = filter;
    if (term !== undefined && !this.#keys.fulfil(term, event, this.#documentsOf)) return "nothing";
    return filter.sees(event, this.#documentsOf(event));
  }

  /** How many events were parsed since the last call: a parse takes as long as a write. */
  takeParsed(): number {
    const parsed = this.#parsed;
    this.#parsed = 0;
    return parsed;
  }

  /** Filters that go through the same history share its documents, within a bound. */
  readonly #documentsOf = (event: SourceEvent): EventDocuments => {
    const kept = this.#documents.get(event);
    if (kept !== undefined) return kept;
    this.#parsed += 1;
    const documents = new ParsedDocuments(event);
    if (this.#keptCharacters * WEIGHT_OF_PARSED < this.#maxBytes) {
      this.#documents.set(event, documents);
      this.#keptCharacters += lengthOf(event);
    }
    return documents;
  };

  end(): void {
    this.#forgetFrames();
    this.#documents.clear();
    this.#keptCharacters = 0;
  }

  #keep(bytes: number): void {
    this.#keptBytes += bytes;
    if (this.#keptBytes > this.#maxBytes) this.#forgetFrames();
  }

  #forgetFrames(): void {
    for (const slices of this.#slices) slices.forget();
    this.#slices.clear();
    for (const entry of this.#entries) entry.frames = undefined;
    this.#entries = [];
    this.#keptBytes = 0;
  }
}

function lengthOf({ body }: SourceEvent): number {
  return "topic" in body ? body.topic.length : body.document.length + (body.prior?.length ?? 0);
}
