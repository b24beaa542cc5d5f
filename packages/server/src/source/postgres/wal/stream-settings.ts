/**
 * The settings that the text of a value depends on: as the decoder expects them, and as the capture functions of the
 * `notify` mode have them.
 */
export const VALUE_SETTINGS: Readonly<Record<string, string>> = {
  timezone: "UTC",
  datestyle: "ISO,YMD",
  intervalstyle: "postgres",
  bytea_output: "hex",
  extra_float_digits: "1",
  search_path: "pg_catalog",
  quote_all_identifiers: "off",
  client_encoding: "UTF8",
};

/**
 * {@link VALUE_SETTINGS} as a connection's `options`. The connection that the stream is read from begins with them,
 * whatever the role's or the database's own are.
 */
export const VALUE_OPTIONS: string = Object.entries(VALUE_SETTINGS)
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(" ");
