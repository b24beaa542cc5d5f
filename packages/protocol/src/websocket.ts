import type { ErrorCode } from "./errors.ts";

/** The WebSocket subprotocol of the SDK. Without it a connection is a raw one: see {@link RawMessage}. */
export const SUBPROTOCOL = "paperdb.v1";

/** What happened to a document, as WebSocket clients see it: a replace is an update. */
export type WebSocketChangeType = "insert" | "update" | "delete";

/** The one message of a raw connection. */
export interface RawMessage {
  readonly type: WebSocketChangeType;
  readonly collection: string;
  /** The full document; of a delete, the prior document. */
  readonly data: unknown;
}

/** What a `paperdb.v1` client sends: JSON objects as text messages. */
export type ClientMessage = SubscribeMessage | UnsubscribeMessage | AuthMessage;

/** Starts a subscription; exactly one of `collection` and `topic` is given. */
export interface SubscribeMessage {
  readonly type: "subscribe";
  /** Chosen by the client, unique on its connection. */
  readonly id: string;
  readonly collection?: string;
  /** A topic or a pattern. */
  readonly topic?: string;
  /** A filter on the documents of a collection. */
  readonly where?: unknown;
  /** Where to go on. */
  readonly cursor?: string;
  /** Whether the documents come first, as {@link SnapshotMessage}s. A usable cursor wins. */
  readonly snapshot?: boolean;
}

/** Ends a subscription. Nothing is answered; an id that is not known (any more) is ignored. */
export interface UnsubscribeMessage {
  readonly type: "unsubscribe";
  readonly id: string;
}

/** A fresh token, before the connection's own expires. Nothing is answered when it is good. */
export interface AuthMessage {
  readonly type: "auth";
  readonly token: string;
}

/** What a `paperdb.v1` server sends: JSON objects as text messages. */
export type ServerMessage =
  ReadyMessage | SnapshotMessage | EventMessage | ResetMessage | ErrorMessage | HeartbeatMessage;

/** A subscription is live. What a resumed one has missed follows as events. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly id: string;
  /** The server's short name for what is subscribed to, good on this connection. */
  readonly channel: string;
  readonly cursor: string;
  readonly resumed: boolean;
}

/**
 * Some of the documents, before `ready`; at least one such message comes. Changes that the documents do not have
 * yet come between the last one and `ready`.
 */
export interface SnapshotMessage {
  readonly type: "snapshot";
  readonly id: string;
  /** As in {@link ReadyMessage}. */
  readonly channel: string;
  readonly documents: readonly unknown[];
  /** Of each document, in the same order. */
  readonly documentIds: readonly string[];
}

/** One change of a collection, or one event of a topic. */
export interface EventMessage {
  readonly type: "event";
  readonly channel: string;
  /** Absent before `ready`, within a snapshot: nobody can go on from there. */
  readonly cursor?: string;
  readonly event: CollectionEvent | PublishedEvent;
}

/** A change, as `paperdb.v1` carries it. */
export interface CollectionEvent extends RawMessage {
  readonly documentId: string;
}

/** An event of the event bus. */
export interface PublishedEvent {
  readonly topic: string;
  readonly data: unknown;
}

/** Changes may have been missed: what the client holds is void. `ready` follows. */
export interface ResetMessage {
  readonly type: "reset";
  readonly id: string;
  readonly reason: string;
}

/** Something was refused. With an `id`: that subscription is over, or never began. */
export interface ErrorMessage {
  readonly type: "error";
  readonly id?: string;
  readonly code: ErrorCode;
  /** A sentence for the developer. */
  readonly message: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
}

/** Sent now and then on quiet connections: where its channels stand, by their names. */
export interface HeartbeatMessage {
  readonly type: "heartbeat";
  readonly cursors: Readonly<Record<string, string>>;
}

/** Why the server closes a WebSocket. */
export type CloseReason =
  | "token_expired"
  | "forbidden"
  | "protocol_error"
  | "slow_consumer"
  | "draining"
  | "overloaded"
  | "events_missed"
  | "disconnected";

/**
 * Close codes: after 4000–4099 a client must change something before it
 * connects again, after 4100–4199 it comes back after a while.
 */
export const CLOSE_CODES: Readonly<Record<CloseReason, number>> = {
  /** The token has expired, or it was revoked with its key, its tenant or its plan. */
  token_expired: 4001,
  /** What the client asks for is not granted to it. */
  forbidden: 4003,
  /** The client sent what the protocol does not allow. */
  protocol_error: 4008,
  /** The client did not read fast enough. */
  slow_consumer: 4100,
  /** The server is shutting down. */
  draining: 4101,
  /** Reserved, not sent yet: the server cannot serve the connection at the moment. */
  overloaded: 4102,
  /** A raw connection, which has no cursors, has missed events. */
  events_missed: 4103,
  /** An operator ended the connection. */
  disconnected: 4104,
};
