/** What the embedded PostgreSQL is started with; `overrides` win. */
export function postgresSettings(
  fsync: boolean,
  overrides: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    listen_addresses: "127.0.0.1",
    wal_level: "logical",
    // A forgotten replication slot must not fill the disk.
    max_slot_wal_keep_size: "1GB",
    max_connections: "200",
    // The default begins with a schema named after the user, and our own schema is: tables made without
    // naming a schema would end up in it.
    search_path: "public",
    // Its log must not hold the application's data: neither statements nor the rows that errors quote.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    lc_messages: "C",
    ...(fsync ? {} : { fsync: "off", full_page_writes: "off" }),
    ...overrides,
  };
}
