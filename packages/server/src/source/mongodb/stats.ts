/** Counters and gauges of a source, for `/metrics`. */
export interface MongoStats {
  /** Change streams that are open. */
  streams: number;
  /** Tenants in their pipelines, over all collections. */
  watchedChannels: number;
  /** Collections in use whose deletes are not delivered, for want of pre-images. */
  collectionsWithoutDeletes: number;
  /** Changes handed to the log. */
  changes: number;
  /** Times that a stream was opened: for tenants that joined or left, and after failures. */
  opens: number;
  /** Times that a stream failed beyond what the driver repairs. */
  failures: number;
  /** Clients caught up by a second stream. */
  replays: number;
  /** Those that could not be. */
  replaysRefused: number;
}

/** All zero. */
export function emptyStats(): MongoStats {
  return {
    streams: 0,
    watchedChannels: 0,
    collectionsWithoutDeletes: 0,
    changes: 0,
    opens: 0,
    failures: 0,
    replays: 0,
    replaysRefused: 0,
  };
}
