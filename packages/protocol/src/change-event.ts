/** What happened to a document. `replace` comes from MongoDB only. */
export type ChangeType = "insert" | "update" | "replace" | "delete";

/** A JSON value as text, on one line: it can be put into a frame as it is. */
export type JsonText = string;

/** One committed change of one document. */
export interface DocumentChange {
  readonly type: ChangeType;
  /** The primary key as text; a composite key is a JSON array as text. */
  readonly documentId: string;
  /** The full document; of a delete, the prior document. */
  readonly document: JsonText;
  /**
   * The document before an update or a replace, for filters: where somebody may need it
   * and the source can know it. It is not sent to clients.
   */
  readonly prior?: JsonText;
  /**
   * What the document has besides what clients may see, for the filters of grants: a JSON object
   * whose members take the place of the document's of the same names. It is not sent to clients.
   */
  readonly hidden?: JsonText;
  /** The same of the prior document; of a delete, of its {@link document}. */
  readonly priorHidden?: JsonText;
}

/** One application event, published on the event bus. */
export interface TopicEvent {
  /** Dot-separated, without wildcards. */
  readonly topic: string;
  readonly data: JsonText;
}
