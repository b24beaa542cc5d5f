import type { DocumentChange, JsonText, Position, TopicEvent } from "@paperdb/protocol";
import type { Filter } from "../filter/filter.ts";

/** One tenant's collection, or one tenant's topics on the event bus. */
export interface ChannelKey {
  /** The tenant column's text form. */
  readonly tenant: string;
  /** The collection's public name; {@link TOPICS} on the event bus. */
  readonly collection: string;
}

/** The `collection` of a bus channel: no table can have an empty name. */
export const TOPICS = "";

/** A channel key as one string, for maps. Unambiguous: neither part contains NUL. */
export function channelId(key: ChannelKey): string {
  return `${key.collection}\0${key.tenant}`;
}

/** One event of one channel, as a source pushes it. */
export interface SourceEvent {
  readonly channel: ChannelKey;
  readonly position: Position;
  /** When the database made the change, in ms since 1970, as far as the source knows. */
  readonly committedAtMs: number | undefined;
  /** The number of the transaction that made the change, where the source needs it to tell what a snapshot saw. */
  readonly transaction?: number;
  readonly body: DocumentChange | TopicEvent;
}

/** A document as a snapshot has it. */
export interface SnapshotDocument {
  readonly documentId: string;
  readonly document: JsonText;
  /** A JSON object with the members that hide something, for the filters of grants; where one may ask for them. */
  readonly hidden?: JsonText;
}

/** What the caller needs of a snapshot. It is pushed down as far as it can be: the snapshot may have other documents as well. */
export interface SnapshotNarrowing {
  /** The same for narrowings to the same documents. */
  readonly id: string;
  /** What the client wants: of documents as clients see them. */
  readonly wanted: Filter | undefined;
  /** What the client is granted: it knows hidden fields, so the documents come with them. */
  readonly granted: Filter | undefined;
}

/** A channel's documents as of one moment. */
export interface Snapshot {
  /** Every event whose effect the snapshot does not have lies after it. */
  readonly since: Position;
  /** Each document once, read as they are taken, and bounded in rows and bytes. To be iterated once. */
  readonly batches: AsyncIterable<readonly SnapshotDocument[]>;
  /** After the last batch. Resolves once all events up to the seam have been appended. */
  seam(): Promise<SnapshotSeam>;
}

/** Where a snapshot and the live events meet. */
export interface SnapshotSeam {
  /** No event after it has an effect on the snapshot. */
  readonly position: Position;
  /** Whether the snapshot has the effect of an event at or before the position. */
  saw(event: SourceEvent): boolean;
}

/** A collection that can be subscribed to. */
export interface CollectionInfo {
  readonly name: string;
}

/** Whether changes arrive, or why not. */
export type SourceState =
  | { readonly live: true; readonly detail?: string }
  | { readonly live: false; readonly reason: string; readonly retryAfterMs: number };

/** A database, or the event bus, that changes come from. */
export interface ChangeSource {
  /** Unique among the sources of a server; part of every cursor. */
  readonly name: string;
  /**
   * Whether every document of a collection has all the collection's fields, be they null; else one may lack any.
   * Filters of grants name none that is missing: {@link needPrior} refuses them, and documents of when it was
   * missing are not granted.
   */
  readonly hasColumns?: boolean;
  /** Changes whenever positions of before can no longer be compared; `[0-9A-Za-z_-]+`. */
  readonly epoch: string;
  state(): SourceState;
  collections(): readonly CollectionInfo[];
  /** Why a name that exists in the database is no collection (a sentence), or undefined for a name that does not exist. */
  whyNotCollection(name: string): Promise<string | undefined>;
  /**
   * Resolves once every change of this channel that commits from now on will be
   * appended, with the position since which none is missed. Calls for a channel
   * that is watched already are cheap.
   *
   * @throws {RealtimeError} `source_unavailable`, `collection_not_found`.
   */
  watch(channel: ChannelKey): Promise<Position>;
  /** The channel has no subscriptions any more. */
  unwatch(channel: ChannelKey): void;
  /**
   * Somebody filters the collection's changes. Resolves once every update and replace of it
   * that reaches the log from now on, in whichever of its channels, carries the prior document; what
   * reached the log without one is reset. It stays so. Calls for what is so already are cheap.
   * Sources without documents leave it out.
   *
   * @param grantedFields - fields of documents that filters of grants name, outermost names. With
   *   a hidden one among them, every change carries what is hidden as well.
   * @throws {RealtimeError} `prior_images_required`, `source_unavailable`, `collection_not_found`, or
   *   `collection_not_usable` when the value of one of the fields cannot be known; `forbidden` when
   *   {@link hasColumns}, and one of them is none.
   */
  needPrior?(collection: string, grantedFields: ReadonlySet<string>): Promise<void>;
  /**
   * Where a watched channel stands that has received everything until now: not below the events that were appended,
   * and below those that come. Undefined while that is not known; sources that do not know leave it out.
   */
  position?(channel: ChannelKey): Position | undefined;
  /**
   * The channel's events after `since` up to `until`, from the database's own log;
   * undefined when they cannot be had completely. The channel is watched. Sources
   * without such a log leave it out.
   */
  replay?(channel: ChannelKey, since: Position, until: Position): Promise<readonly SourceEvent[] | undefined>;
  /**
   * Reads the channel's documents as of one moment. The channel is watched. Sources
   * without documents leave it out.
   *
   * @param narrowing - what the caller needs of them.
   * @param signal - ends the reading at once, also between batches.
   * @throws {RealtimeError} `source_unavailable`, `collection_not_found`, `collection_not_usable`.
   */
  snapshot?(
    channel: ChannelKey,
    narrowing: SnapshotNarrowing | undefined,
    signal: AbortSignal,
  ): Promise<Snapshot>;
  /**
   * Whether a client's text can be a position of this source. What cannot would still
   * compare with positions as text. Left out: any text can.
   */
  isPosition?(text: string): boolean;
  /** Whether two positions name one place in the order, but different events there: what a client has seen is void. */
  contradicts?(one: Position, other: Position): boolean;
  close(): Promise<void>;
}

/** What a source pushes into: the log. */
export interface ChangeSink {
  /** Events in commit order, positions ascending per source. A promise is back-pressure: the source waits for it. */
  append(events: readonly SourceEvent[]): void | Promise<void>;
  /**
   * Changes of these channels may have been missed, and the source is live
   * again: their subscribers are reset.
   *
   * @param position - above every position appended before.
   * @param reason - a word or two for the client, without data.
   */
  lost(channels: Iterable<ChannelKey> | "all", position: Position, reason: string): void;
  /** The collection exists no more: its subscribers are reset and their subscriptions end. */
  dropped(collection: string, reason: string): void;
}
