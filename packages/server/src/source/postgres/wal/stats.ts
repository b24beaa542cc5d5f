/** Counters and gauges of a source in `wal` mode, for `/metrics`. */
export interface WalStats {
  /** Changes handed to the log. */
  changes: number;
  /** Events handed to the bus. */
  published: number;
  /** Messages with our prefix that are no events. */
  garbage: number;
  watchedChannels: number;
  /** How far the slot is behind the end of the log; undefined before the first look. */
  slotLagBytes: number | undefined;
  /** How much of the log the database keeps for the slot, likewise; more where a transaction has been open for long. */
  slotKeptBytes: number | undefined;
  /** How often the slot was lost since the start, and everybody reset. */
  slotsLost: number;
  /** Tables, and partitions, whose description by the stream is kept. */
  relations: number;
}

/** All zero. */
export function emptyWalStats(): WalStats {
  return {
    changes: 0,
    published: 0,
    garbage: 0,
    watchedChannels: 0,
    slotLagBytes: undefined,
    slotKeptBytes: undefined,
    slotsLost: 0,
    relations: 0,
  };
}
