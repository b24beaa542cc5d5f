/** A stable error code. */
export type ErrorCode =
  | "invalid_request"
  | "invalid_topic"
  | "invalid_filter"
  | "filter_too_large"
  | "prior_images_required"
  | "snapshot_not_supported"
  | "collection_not_usable"
  | "unauthorized"
  | "key_malformed"
  | "key_revoked"
  | "secret_key_in_query"
  | "token_invalid"
  | "token_expired"
  | "forbidden"
  | "origin_not_allowed"
  | "plan_required"
  | "not_found"
  | "collection_not_found"
  | "tenant_not_found"
  | "conflict"
  | "idempotency_conflict"
  | "duplicate_subscription"
  | "payload_too_large"
  | "unsupported_media_type"
  | "upgrade_required"
  | "too_many_connections"
  | "too_many_subscriptions"
  | "too_many_filters"
  | "headers_too_large"
  | "rate_limited"
  | "internal"
  | "draining"
  | "source_unavailable"
  | "key_store_unavailable";

/**
 * Every error a client can meet: its stable code, HTTP status and whether the
 * same request may succeed later. `docs/errors.md` is tested against this table.
 */
export const ERRORS: Readonly<Record<ErrorCode, ErrorDefinition>> = {
  invalid_request: { status: 400, retryable: false, title: "The request is not valid" },
  invalid_topic: { status: 400, retryable: false, title: "The topic is not valid" },
  invalid_filter: { status: 400, retryable: false, title: "The filter is not valid" },
  filter_too_large: { status: 400, retryable: false, title: "The filter is too large" },
  prior_images_required: {
    status: 400,
    retryable: false,
    title: "Filters need the collection's pre-images",
  },
  snapshot_not_supported: { status: 400, retryable: false, title: "There is no snapshot of this" },
  collection_not_usable: { status: 400, retryable: false, title: "The table cannot be a collection" },
  unauthorized: { status: 401, retryable: false, title: "A valid key is required" },
  key_malformed: { status: 401, retryable: false, title: "The key is malformed" },
  key_revoked: { status: 401, retryable: false, title: "The key is unknown or revoked" },
  secret_key_in_query: { status: 401, retryable: false, title: "A secret key must not be in a URL" },
  token_invalid: { status: 401, retryable: false, title: "The realtime token is not valid" },
  token_expired: { status: 401, retryable: false, title: "The realtime token has expired" },
  forbidden: { status: 403, retryable: false, title: "The key or token does not grant this" },
  origin_not_allowed: { status: 403, retryable: false, title: "Pages of this origin may not connect" },
  plan_required: { status: 403, retryable: false, title: "The tenant's plan has no realtime" },
  not_found: { status: 404, retryable: false, title: "There is nothing at this address" },
  collection_not_found: { status: 404, retryable: false, title: "The collection does not exist" },
  tenant_not_found: { status: 404, retryable: false, title: "The tenant does not exist" },
  conflict: { status: 409, retryable: false, title: "It exists already" },
  idempotency_conflict: {
    status: 409,
    retryable: false,
    title: "The idempotency key was used for another body",
  },
  duplicate_subscription: {
    status: 409,
    retryable: false,
    title: "The connection has this subscription already",
  },
  payload_too_large: { status: 413, retryable: false, title: "The body is too large" },
  unsupported_media_type: { status: 415, retryable: false, title: "The content type is not supported" },
  upgrade_required: { status: 426, retryable: false, title: "This address serves WebSockets" },
  too_many_connections: { status: 429, retryable: true, title: "The tenant has too many connections" },
  too_many_subscriptions: {
    status: 429,
    retryable: false,
    title: "The connection has too many subscriptions",
  },
  too_many_filters: { status: 429, retryable: true, title: "The collection has too many filters" },
  headers_too_large: { status: 431, retryable: false, title: "The request line and headers are too large" },
  rate_limited: { status: 429, retryable: true, title: "The tenant publishes too fast" },
  internal: { status: 500, retryable: true, title: "The server failed" },
  draining: { status: 503, retryable: true, title: "The server is shutting down" },
  source_unavailable: { status: 503, retryable: true, title: "The database is not reachable" },
  key_store_unavailable: { status: 503, retryable: true, title: "Keys cannot be checked at the moment" },
};

/** One row of {@link ERRORS}. */
export interface ErrorDefinition {
  /** HTTP status. */
  readonly status: number;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** What went wrong, the same for every occurrence. */
  readonly title: string;
}

/** What {@link RealtimeError} takes besides its code and sentence. */
export interface RealtimeErrorOptions {
  readonly cause?: unknown;
  /** When a retry makes sense, in seconds (the `Retry-After` header). */
  readonly retryAfterSeconds?: number;
}

/** An error with a stable code, and a sentence for the person who has to act on it. */
export class RealtimeError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;

  /** @param detail - names the field and says what to do. */
  constructor(code: ErrorCode, detail: string, options: RealtimeErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RealtimeError";
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
