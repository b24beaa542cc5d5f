/** What the connections of a source are called in `pg_stat_activity`: in mode `notify` those that ask, */
export const APPLICATION_NAME = "paperdb-realtime";

/** and the one that listens, as long as it runs; */
export const LISTENER_APPLICATION_NAME = "paperdb-realtime listener";

/** in mode `wal` those that ask, as long as it runs, */
export const WAL_APPLICATION_NAME = "paperdb-realtime wal";

/** and the one that streams, in `pg_stat_replication` too; */
export const STREAM_APPLICATION_NAME = "paperdb-realtime stream";

/** in both those that read snapshots. */
export const SNAPSHOT_APPLICATION_NAME = "paperdb-realtime snapshots";
