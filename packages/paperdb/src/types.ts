import type { PaperDBError } from "./paperdb-error.ts";

/** Collections by name, each with the type of its documents, when a client is not given any. */
export type AnySchema = Record<string, Record<string, unknown>>;

/** The names of a schema's collections. */
export type CollectionName<Schema> = keyof Schema & string;

/** One committed change of one document. */
export interface ChangeEvent<Name extends string = string, Document = Record<string, unknown>> {
  readonly type: "insert" | "update" | "delete";
  readonly collection: Name;
  /** The primary key as text. */
  readonly documentId: string;
  /** The full document; of a delete, the document as it was. */
  readonly data: Document;
}

/** One event of the event bus. */
export interface TopicEvent<Data = unknown> {
  readonly topic: string;
  readonly data: Data;
}

/** How the one connection of a client stands. */
export type ConnectionStatus = "idle" | "connecting" | "live" | "reconnecting" | "closed";

/** How a subscription stands. After `ended` nothing follows. */
export type SubscriptionStatus = "connecting" | "live" | "reconnecting" | "ended";

/** What comes with a status. */
export interface StatusDetails {
  /** Of `live`: whether it went on where it had stopped, so that nothing was missed. */
  readonly resumed: boolean;
}

/** Why events may have been missed. */
export interface ResetDetails {
  readonly reason: string;
}

/** Ends what it was returned for. It may be called at any time, and again. */
export type Unsubscribe = () => void;

/** What a subscription calls besides its listener. */
export interface SubscriptionCallbacks {
  /** Events may have been missed: read the data anew. What follows is complete again. */
  readonly onReset?: ((details: ResetDetails) => unknown) | undefined;
  readonly onStatus?: ((status: SubscriptionStatus, details: StatusDetails) => unknown) | undefined;
  /** The subscription has ended with an error, or one of its callbacks threw (`callback_failed`). */
  readonly onError?: ((error: PaperDBError) => unknown) | undefined;
  /** Ends the subscription. */
  readonly signal?: AbortSignal | undefined;
}

/** Which documents of a collection. */
export interface DocumentOptions {
  /**
   * Only documents that match, in the manner of MongoDB's queries. One that begins to match is an insert, one that
   * ceases to is a delete.
   */
  readonly where?: Readonly<Record<string, unknown>> | undefined;
}

/** What a subscription to a collection takes. */
export interface SubscribeOptions extends SubscriptionCallbacks, DocumentOptions {
  /**
   * Whether the documents that there are come first, each as an `insert`, before the status is `live`; what follows are
   * exactly the changes that they do not have. They come all at once, and anew after each `onReset`.
   */
  readonly snapshot?: boolean | undefined;
}

/** What a list takes. */
export interface ListOptions<Document> extends DocumentOptions, Omit<SubscriptionCallbacks, "onReset"> {
  /** The order, as `Array.sort` takes it. Default: that in which documents came; one that changes keeps its place. */
  readonly compare?: ((left: Document, right: Document) => number) | undefined;
  /** Called with the documents once they are there, and after each change. */
  readonly onChange?: ((documents: readonly Document[]) => unknown) | undefined;
}

/** The documents of a collection that match, at any time. */
export interface DocumentList<Document> {
  /**
   * The documents: another array after each change, the same one until then. While there is no connection, or they are
   * fetched anew, those that there were.
   */
  readonly current: readonly Document[];
  /** Whether they have ever been there: an empty list is otherwise one that is still loading. */
  readonly isLoaded: boolean;
  readonly status: SubscriptionStatus;
  /** Calls back after each change of the documents and of the status. */
  readonly subscribe: (listener: () => unknown) => Unsubscribe;
  /** Ends it; `current` stays as it was read last. */
  readonly close: () => void;
}

/** What a stream takes besides what its subscription takes. */
export interface StreamOptions {
  /**
   * Events that wait for a slow consumer, default 1,000. Beyond it the stream
   * leaves the server, and goes on where it was once it has caught up.
   */
  readonly maxBuffered?: number | undefined;
}

/** What a token is asked to grant. */
export interface TokenRequest {
  readonly collections?: readonly string[] | undefined;
  /** Topics and patterns. */
  readonly topics?: readonly string[] | undefined;
  readonly permissions?: readonly "read"[] | undefined;
  /** By collection, the only documents of it that the token shows: `{ messages: { room: "42" } }`. */
  readonly filters?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  /** Seconds; the server's default is 900. */
  readonly expiresIn?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the application's `getToken` is told. */
export interface TokenNeed {
  /** The collections that the token has to grant. */
  readonly collections: readonly string[];
  /** The topics and patterns that it has to grant. */
  readonly topics: readonly string[];
  /** Aborted when the token is not needed any more. */
  readonly signal: AbortSignal;
}

/**
 * Fetches a token from the application's backend. When it throws it is called
 * again after a while, unless the error's `retryable` is false.
 */
export type GetToken = (need: TokenNeed) => string | Promise<string>;

/** The part of a WebSocket that the SDK uses. */
export interface WebSocketLike {
  onopen: unknown;
  onmessage: unknown;
  onclose: unknown;
  onerror: unknown;
  send(data: string): void;
  close(code?: number): void;
}

/** A WebSocket implementation, such as the browser's or that of `ws`. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** What a client is made from. */
export interface ClientOptions {
  /** A secret key: on servers only. Either this or `getToken`. */
  readonly apiKey?: string | undefined;
  /** Where tokens come from in a browser. Either this or `apiKey`. */
  readonly getToken?: GetToken | undefined;
  /** The server's HTTP address. */
  readonly baseUrl: string;
  /** The server's WebSocket address; default `baseUrl` with `ws:` or `wss:`. */
  readonly realtimeUrl?: string | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** The waits before attempts to connect: random, below a limit that doubles from `minMs` (250) to `maxMs` (30,000). */
  readonly backoff?: { readonly minMs?: number | undefined; readonly maxMs?: number | undefined } | undefined;
  /** Nothing heard from the server for so long: connect anew. Default 45,000. */
  readonly heartbeatTimeoutMs?: number | undefined;
  /** How long a token or a connection may take. Default 15,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long the connection stays after the last unsubscribe. Default 1,000. */
  readonly lingerMs?: number | undefined;
}

/** Live changes of collections. */
export interface Realtime<Schema> {
  /** The state of the one connection. */
  readonly status: ConnectionStatus;
  /** Calls back on each change of the status, and each attempt that failed, with the error, if any. */
  onStatus(listener: (status: ConnectionStatus, error?: PaperDBError) => unknown): Unsubscribe;
  /** Calls the listener for each change of the collection from now on, in order. */
  subscribe<Name extends CollectionName<Schema>>(
    collection: Name,
    listener: (event: ChangeEvent<Name, Schema[Name]>) => unknown,
    options?: SubscribeOptions,
  ): Unsubscribe;
  /**
   * Keeps the documents of the collection up to date, whatever happens to the connection. Lists of the same documents
   * share one subscription.
   */
  list<Name extends CollectionName<Schema>>(
    collection: Name,
    options?: ListOptions<Schema[Name]>,
  ): DocumentList<Schema[Name]>;
  /** The changes of the collection from the start of the loop on; leaving the loop unsubscribes. */
  stream<Name extends CollectionName<Schema>>(
    collection: Name,
    options?: SubscribeOptions & StreamOptions,
  ): AsyncIterable<ChangeEvent<Name, Schema[Name]>>;
  /** Mints a token for a browser. Needs `apiKey`. */
  generateToken(
    request: TokenRequest & { readonly collections?: readonly CollectionName<Schema>[] | undefined },
  ): Promise<string>;
}

/** What `publish` takes besides the event. */
export interface PublishOptions {
  /** A retry with the same key and event publishes once. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The tenant's event bus. */
export interface Events {
  /** Publishes any JSON value. Needs `apiKey`. */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<{ readonly id: string }>;
  /** Calls the listener for each event of the topic, or of the topics of a pattern (`order.*`, `order.>`). */
  subscribe<Data = unknown>(
    pattern: string,
    listener: (event: TopicEvent<Data>) => unknown,
    options?: SubscriptionCallbacks,
  ): Unsubscribe;
  /** The events as an async iterable; leaving the loop unsubscribes. */
  stream<Data = unknown>(
    pattern: string,
    options?: SubscriptionCallbacks & StreamOptions,
  ): AsyncIterable<TopicEvent<Data>>;
}

/** A client: one connection for all its subscriptions. */
export interface Client<Schema = AnySchema> {
  readonly realtime: Realtime<Schema>;
  readonly events: Events;
  /** Ends all subscriptions and the connection, for good. */
  close(): void;
}
