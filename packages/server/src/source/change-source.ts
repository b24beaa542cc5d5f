import type { DocumentChange, Position, TopicEvent } from "@paperdb/protocol";

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
  readonly body: DocumentChange | TopicEvent;
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
   * The channel's events after `since` up to `until`, from the database's own log;
   * undefined when they cannot be had completely. The channel is watched. Sources
   * without such a log leave it out.
   */
  replay?(channel: ChannelKey, since: Position, until: Position): Promise<readonly SourceEvent[] | undefined>;
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
