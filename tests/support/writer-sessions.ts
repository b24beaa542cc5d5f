/** What a writer's session may have set. */
export const WRITER_SESSIONS: readonly (readonly [name: string, settings: readonly string[]])[] = [
  ["default settings", []],
  [
    "settings of another world",
    [
      "set timezone = 'Asia/Kathmandu'",
      "set datestyle = 'German, DMY'",
      "set intervalstyle = 'iso_8601'",
      "set bytea_output = 'escape'",
      "set extra_float_digits = -15",
      "set search_path = ''",
      "set lc_monetary = 'C'",
      "set quote_all_identifiers = on",
      "set xmloption = document",
      "set standard_conforming_strings = off",
      "set client_encoding = 'LATIN1'",
      "set row_security = off",
      "set transform_null_equals = on",
      "set default_transaction_isolation = 'serializable'",
      "set plan_cache_mode = force_generic_plan",
    ],
  ],
];
