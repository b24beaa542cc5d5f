import { hash } from "node:crypto";
import type { DocumentChange, Position } from "@paperdb/protocol";
import type { JsonValue } from "../../filter/json-value.ts";
import type { SnapshotDocument, SnapshotNarrowing, SourceEvent } from "../change-source.ts";

/** A longer id is remembered by its hash, which no shorter one can be. */
const MAX_ID_CHARACTERS = 64;

/** What a document was when it was read. */
interface Read {
  readonly document: string;
  readonly hidden: string | undefined;
}

/**
 * The documents that were read while others wrote, each as of a moment of its own, for telling afterwards which of the
 * changes they have.
 */
export class ReadDocuments {
  readonly #narrowing: SnapshotNarrowing | undefined;
  readonly #maxDocuments: number;
  readonly #reads = new Map<string, Read>();
  #isWhole = true;

  /** @param maxDocuments - beyond it none is remembered; each takes about 200 bytes. */
  constructor(narrowing: SnapshotNarrowing | undefined, maxDocuments: number) {
    this.#narrowing = narrowing;
    this.#maxDocuments = maxDocuments;
  }

  /** Whether all were remembered. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  add({ documentId, document, hidden }: SnapshotDocument): void {
    if (this.#reads.size >= this.#maxDocuments) {
      this.#isWhole = false;
      this.#reads.clear();
    }
    if (this.#isWhole)
      this.#reads.set(keyOf(documentId), { document: digest(document), hidden: digestOf(hidden) });
  }

  /**
   * Whether the documents have the effect of an event. Of each document they have that of the last event that leaves it
   * as it was read, or away where it was not read, and of those before: what comes after leads to the same end in any case.
   *
   * @param events - all of the tenant since before the reading began, in order.
   */
  seenOf(events: readonly SourceEvent[]): (event: SourceEvent) => boolean {
    const upTo = new Map<string, Position>();
    for (const { position, body } of events) {
      if (!("topic" in body) && this.#isAsRead(body)) upTo.set(body.documentId, position);
    }
    // Not by the position alone: where documents are looked up, events may be there or not each time they are read.
    return ({ position, body }) => !("topic" in body) && position <= (upTo.get(body.documentId) ?? "");
  }

  #isAsRead(change: DocumentChange): boolean {
    const { type, documentId, document, hidden } = change;
    const read = this.#reads.get(keyOf(documentId));
    if (type === "delete") return read === undefined;
    if (read === undefined) return !this.#isWanted(change);
    const isSame = read.document === digest(document);
    return isSame && (hidden === undefined || read.hidden === undefined || read.hidden === digest(hidden));
  }

  #isWanted({ document, hidden }: DocumentChange): boolean {
    const { wanted, granted } = this.#narrowing ?? {};
    if (wanted === undefined && granted === undefined) return true;
    const visible: JsonValue = JSON.parse(document);
    if (wanted?.matches(visible) === false) return false;
    return granted?.matches(hidden === undefined ? visible : merged(document, hidden)) !== false;
  }
}

/** A document with its hidden members, each of which takes the place of what is visible of it. */
function merged(document: string, hidden: string): JsonValue {
  const visible: Record<string, JsonValue> = JSON.parse(document);
  const added: Record<string, JsonValue> = JSON.parse(hidden);
  return { ...visible, ...added };
}

function keyOf(documentId: string): string {
  return documentId.length <= MAX_ID_CHARACTERS ? documentId : hash("sha512", documentId, "hex");
}

function digest(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 16);
}

function digestOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : digest(text);
}
