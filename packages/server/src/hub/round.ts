import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments } from "./delivery.ts";
import { ParsedDocuments } from "./event-documents.ts";
import type { View } from "./view.ts";

/** Parsed documents weigh several times their text. */
const MAX_KEPT_CHARACTERS = 4 * 1024 * 1024;

/** What is kept for all that have the same to do, until the dispatcher has nothing left to do. */
export class Round {
  readonly #views = new Set<View>();
  readonly #documents = new Map<SourceEvent, EventDocuments>();
  #keptCharacters = 0;

  /** This view has slices that are to be forgotten. */
  keepSlicesOf(view: View): void {
    this.#views.add(view);
  }

  /** An event's documents: filters that go through the same history share them, within a bound. */
  documentsOf(event: SourceEvent): EventDocuments {
    const kept = this.#documents.get(event);
    if (kept !== undefined) return kept;
    const documents = new ParsedDocuments(event);
    if (this.#keptCharacters < MAX_KEPT_CHARACTERS) {
      this.#documents.set(event, documents);
      this.#keptCharacters += lengthOf(event);
    }
    return documents;
  }

  end(): void {
    for (const view of this.#views) view.forgetSlices();
    this.#views.clear();
    this.#documents.clear();
    this.#keptCharacters = 0;
  }
}

function lengthOf({ body }: SourceEvent): number {
  return "topic" in body ? body.topic.length : body.document.length + (body.prior?.length ?? 0);
}
