/** What the connections of a source in mode `wal` are called in `pg_stat_activity`: those that ask, as long as it runs. */
export const WAL_APPLICATION_NAME = "paperdb-realtime wal";

/** And the one that streams, in `pg_stat_replication` too. */
export const STREAM_APPLICATION_NAME = "paperdb-realtime stream";
