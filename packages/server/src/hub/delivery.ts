import type { RealtimeError } from "@paperdb/protocol";
import type { SnapshotDocument, SnapshotNarrowing, SourceEvent } from "../source/change-source.ts";

/** How a transport writes events. One instance per wire format: frames are cached by it. */
export interface FrameFormat {
  /** Whether frames name their channel: subscriptions with different filters then have different frames. */
  readonly namesChannel: boolean;
  /** @param channel - the hub's short name for the channel and the subscription's filter. */
  event(event: SourceEvent, cursor: string, channel: string): Buffer;
  /** What is written in place of a slice of its events, made once for all that get it. A format without it has them written as they are. */
  pack?(slice: Buffer): Buffer;
  /** Carries the cursor of a quiet subscription. A format without such frames leaves it out. */
  heartbeat?(cursor: string, channel: string): Buffer;
  /** What comes before `ready` where documents are asked for. A format without it has no snapshots. */
  readonly snapshots?: SnapshotFrames;
}

/** How a transport writes a snapshot. Nobody can go on from within one, so nothing in it has a cursor. */
export interface SnapshotFrames {
  /** Some of the documents, or none; what it makes goes to {@link SnapshotTarget.write}. */
  documents(documents: readonly SnapshotDocument[]): Buffer;
  /** A change that the documents do not have yet. */
  event(event: SourceEvent, channel: string): Buffer;
  /** Shows that the connection lives while documents are waited for. A format whose connections have other signs of life leaves it out. */
  readonly quiet?: Buffer;
}

/** What a subscriber is told before its events. */
export interface Greeting {
  /** The hub's short name for the channel and the subscription's filter. */
  readonly channel: string;
  /** Where the subscriber stands. */
  readonly cursor: string;
  /** Whether it goes on from where it was: what it missed follows. */
  readonly resumed: boolean;
  /** Why what the client holds is void; undefined when it is not. */
  readonly resetReason: string | undefined;
}

/** Why the hub ends a subscription. */
export type EndReason =
  | { readonly kind: "slow_consumer" }
  | { readonly kind: "dropped"; readonly detail: string }
  /** Documents were asked for, and cannot be had. */
  | { readonly kind: "failed"; readonly error: RealtimeError };

/** The receiving side of a snapshot. */
export interface SnapshotTarget {
  /**
   * Writes documents, at least once, before the subscription is greeted.
   *
   * @param documents - as {@link SnapshotFrames} made them.
   * @param channel - the hub's short name for the channel and the subscription's filter.
   * @returns {@link FrameWriter.keepsUp} after it.
   */
  write(documents: Buffer, channel: string): boolean;
  /**
   * What the client holds is void, and a snapshot follows.
   *
   * @returns {@link FrameWriter.keepsUp} after it.
   */
  reset(reason: string): boolean;
}

/** Writes to one client's socket, which several subscriptions may share. */
export interface FrameWriter {
  /**
   * Whether the peer takes what it is sent. While it does not, the hub leaves the
   * subscription at its place until `Hub.resume`.
   */
  readonly keepsUp: boolean;
  /**
   * Writes whole frames in one system call.
   *
   * @returns {@link keepsUp} after it.
   */
  write(frames: Buffer): boolean;
}

/** The receiving side of a subscription: a transport's connection, or one of its several subscriptions. */
export interface DeliveryTarget {
  /** Where its frames go, once it was greeted or has got documents. The same as long as it lives. */
  readonly writer: FrameWriter;
  /** How it gets documents. One without it cannot ask for them. */
  readonly snapshots?: SnapshotTarget;
  /**
   * The subscription is live, at its start and after each reset.
   *
   * @returns {@link FrameWriter.keepsUp} after it.
   */
  greet(greeting: Greeting): boolean;
  /** The subscription is over; the hub has forgotten it. */
  end(reason: EndReason): void;
}

/**
 * How a subscriber sees an event: as it is; as an insert of its document, which was not to be seen
 * before; as a delete of its prior document, which is not to be seen any more; or not at all.
 */
export type Sight = "as_is" | "insert" | "delete" | "nothing";

/** What an event says about its document before and after, as JSON values. A bus event's is `{ topic }`. */
export interface EventDocuments {
  /** The document as it is now, as clients see it; undefined after a delete. */
  readonly current: unknown;
  /** The document as it was before, likewise; undefined when there was none, or the source does not know. */
  readonly prior: unknown;
  /** The first one with what is hidden from clients, which only a grant may ask for. */
  readonly currentWithHidden: unknown;
  /** The second one likewise. */
  readonly priorWithHidden: unknown;
}

/** A JSON value that a map can look up. */
export type Scalar = string | number | boolean | null;

/** A necessary condition: the document, now or before, has one of these keys as a value at the path. */
export interface FilterTerm {
  /** Names of fields, outermost first. What is missing has the value null, an array those of its elements. */
  readonly path: readonly string[];
  /** Compared as in a `Map`. */
  readonly keys: readonly Scalar[];
  /** Whether it is a grant's, of the documents with what is hidden from clients. */
  readonly withHidden?: boolean;
}

/** Which events of a channel a subscription sees. */
export interface EventFilter {
  /** The same for filters that see events in the same way: their subscriptions share frames. */
  readonly id: string;
  sees(event: SourceEvent, documents: EventDocuments): Sight;
  /** What cursors are known by that were received through it, in formats that name channels. The same for filters of one id. */
  readonly cursorGrant?: string | undefined;
  /** Of whatever the filter sees this is true: it costs nothing on all other events. Without it, each event is tried. */
  readonly term?: FilterTerm | undefined;
  /** What it takes to try an event, in comparisons; 1 where it is left out. */
  readonly comparisons?: number;
  /** Of a filter on documents: which ones a snapshot has. */
  readonly documents?: DocumentQuery | undefined;
}

/** Which documents a subscription sees. */
interface DocumentQuery {
  matches(document: SnapshotDocument): boolean;
  /** What the database can leave out already. */
  readonly narrowing?: SnapshotNarrowing | undefined;
}
