/** Counters and gauges of a source, for `/metrics`. */
export interface SourceStats {
  /** Notifications received, of any kind. */
  notifications: number;
  /** Changes handed to the log. */
  changes: number;
  /** Notifications that no capture function can have sent. */
  garbage: number;
  /** Changes of another tenant or table that share a channel's hash, or of a channel that is not watched any more. */
  mismatched: number;
  chunks: number;
  outboxFetches: number;
  /** Bytes that wait for an outbox row or for the log. */
  pendingBytes: number;
  listenedChannels: number;
  /** How full the database's notification queue is, from 0 to 1; undefined before the first look. */
  queueUsage: number | undefined;
}

/** All zero. */
export function emptyStats(): SourceStats {
  return {
    notifications: 0,
    changes: 0,
    garbage: 0,
    mismatched: 0,
    chunks: 0,
    outboxFetches: 0,
    pendingBytes: 0,
    listenedChannels: 0,
    queueUsage: undefined,
  };
}
