import type { CollectionEvent } from "@paperdb/protocol";

/** A document of a {@link FakeDatabase}. */
export interface FakeDocument {
  /** The number of the event that it comes from, counted within its collection. */
  readonly sequence: number;
}

type FakeEvent = CollectionEvent & { readonly data: FakeDocument };

/** What happens on each collection, from the first event on. */
export class FakeDatabase {
  /** Whether the server can go on at a cursor. */
  hasHistory = true;
  /** Cursors of another epoch are of no use. */
  epoch = 1;
  readonly #logs = new Map<string, FakeEvent[]>();

  /** How many events there were. */
  length(name: string): number {
    return this.eventsAfter(name, 0).length;
  }

  /** @param documentId - of the document that is changed, inserted, updated or deleted; without it: a new one. */
  append(name: string, documentId?: string): void {
    const log = this.eventsAfter(name, 0);
    const sequence = log.length + 1;
    const id = documentId ?? `new ${sequence}`;
    const before = this.documentsAt(name, log.length).get(id);
    const goesOn = sequence % 3 === 0 ? "delete" : "update";
    const type = before === undefined ? "insert" : goesOn;
    this.#logs.set(name, [...log, { type, collection: name, documentId: id, data: { sequence } }]);
  }

  eventsAfter(name: string, sequence: number): FakeEvent[] {
    return (this.#logs.get(name) ?? []).slice(sequence);
  }

  /** The documents after an event. */
  documentsAt(name: string, sequence: number): Map<string, FakeDocument> {
    const documents = new Map<string, FakeDocument>();
    for (const { type, documentId, data } of this.eventsAfter(name, 0).slice(0, sequence)) {
      if (type === "delete") documents.delete(documentId);
      else documents.set(documentId, data);
    }
    return documents;
  }

  /** Cursors ascend as text. */
  cursorAt(sequence: number): string {
    return `${this.epoch}.${String(sequence).padStart(6, "0")}`;
  }

  /** Where a client with a cursor goes on; undefined where it cannot. */
  sequenceOf(cursor: string | undefined): number | undefined {
    const [epoch, sequence] = cursor?.split(".") ?? [];
    return this.hasHistory && epoch === String(this.epoch) ? Number(sequence) : undefined;
  }
}
