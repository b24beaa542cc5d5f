import type { AnyDocument } from "./listener.ts";

/** What an event says about a document. */
interface DocumentEvent {
  readonly type: "insert" | "update" | "delete";
  readonly documentId: string;
  readonly data: AnyDocument;
}

/** The documents of one subscription by their ids, in the order in which they came. */
export class Documents {
  /** As of the last event; undefined while nobody needs them kept, and before they have come. */
  kept: Map<string, AnyDocument> | undefined;
  /** Those of a snapshot that is not complete. */
  #arriving: Map<string, AnyDocument> | undefined;

  /** Whether a snapshot may be on its way. */
  get areArriving(): boolean {
    return this.#arriving !== undefined;
  }

  /** A snapshot may begin. */
  expect(): void {
    this.#arriving = new Map<string, AnyDocument>();
  }

  /** It does not go on. */
  abandon(): void {
    this.#arriving = undefined;
  }

  /** Some of its documents. */
  add(ids: readonly string[], documents: readonly AnyDocument[]): void {
    for (const [index, document] of documents.entries()) this.#arriving?.set(String(ids[index]), document);
  }

  /** A change that they do not have yet: those that are arriving, or those that are kept. */
  apply({ type, documentId, data }: DocumentEvent, isWithinSnapshot: boolean): void {
    const documents = isWithinSnapshot ? this.#arriving : this.kept;
    if (type === "delete") documents?.delete(documentId);
    else documents?.set(documentId, data);
  }

  /** The snapshot is complete, and takes the place of what was kept; documents that were there keep their order. */
  complete(): ReadonlyMap<string, AnyDocument> | undefined {
    const arrived = this.#arriving;
    if (arrived === undefined) return undefined;
    const { kept = arrived } = this;
    for (const id of kept.keys()) if (!arrived.has(id)) kept.delete(id);
    for (const [id, document] of arrived) kept.set(id, document);
    this.abandon();
    this.kept = kept;
    return kept;
  }
}
