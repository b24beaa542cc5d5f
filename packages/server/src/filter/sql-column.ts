/** A column as a condition needs to know it. */
export interface SqlColumn {
  /** How SQL names it, escaped, with its table where that is needed. */
  readonly reference: string;
  /**
   * The type's name in `pg_type`, such as `int4`; of a domain, its base type's; `enum`
   * for every enum. Conditions leave out types that are not known here.
   */
  readonly type: string;
}

/** What conditions are made over. */
export interface SqlTable {
  /**
   * By their names, the columns that are delivered as the table has them. Those that the
   * reader of the filter does not see are left out, and those that are delivered other
   * than stored (virtual generated ones).
   */
  readonly columns: ReadonlyMap<string, SqlColumn>;
  /** The database's encoding, such as `UTF8`. */
  readonly encoding: string;
}
