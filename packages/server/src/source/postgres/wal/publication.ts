import { escapeIdentifier } from "pg";
import type { Pool, PoolClient } from "pg";
import { RealtimeError } from "@paperdb/protocol";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { CapturedTable } from "../table.ts";

/** The first version that can publish generated columns, as `server_version_num`. */
const WITH_GENERATED_COLUMNS = 180_000;

interface PublicationRow {
  readonly all_tables: boolean;
  readonly complete: boolean;
  readonly by_root: boolean;
  readonly generated: boolean;
}

/**
 * The tables of which all changes are streamed, with whole rows of before, by their oids; each with a text that is another
 * one if that was not so for a while: the table was taken out and put back, or the publication had other options.
 */
export type Enrollment = ReadonlyMap<number, string>;

/** {@link Enrollment}'s text of a table, in a query that has `pg_publication` as p and `pg_publication_rel` as r. */
const ENROLLMENT_ID = "p.oid || '.' || p.xmin || '.' || r.oid";

/** Neither a row filter nor a column list, which PostgreSQL 14 does not have. */
const IS_WHOLE =
  "coalesce(pg_catalog.to_jsonb(r) ->> 'prqual', pg_catalog.to_jsonb(r) ->> 'prattrs') is null";

/** What of a publication is streamed completely. */
export async function fetchEnrollment(
  database: Pick<Pool, "query">,
  publication: string,
): Promise<Enrollment> {
  const result = await database.query<{ oid: string; id: string }>(
    `with recursive tree(root, oid) as (
         select r.prrelid, r.prrelid from pg_catalog.pg_publication_rel r
         join pg_catalog.pg_publication p on p.oid = r.prpubid where p.pubname = $1
         union all
         select t.root, i.inhrelid from tree t join pg_catalog.pg_class c on c.oid = t.oid and c.relkind = 'p'
         join pg_catalog.pg_inherits i on i.inhparent = t.oid
       )
       select r.prrelid::pg_catalog.int8 as oid, ${ENROLLMENT_ID} as id
       from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
       where p.pubname = $1 and ${IS_WHOLE} and not exists (
         select from tree t join pg_catalog.pg_class c on c.oid = t.oid
         where t.root = r.prrelid and c.relkind = 'r' and c.relreplident <> 'f')`,
    [publication],
  );
  return new Map(result.rows.map(({ oid, id }) => [Number(oid), id]));
}

/** The one publication of an installation; it names its tables. */
export class Publication {
  readonly name: string;
  readonly #database: DatabasePool;

  constructor(name: string, database: DatabasePool) {
    this.name = name;
    this.#database = database;
  }

  /**
   * Makes the publication, or puts its options right. It comes before the slot: a stream cannot read what was
   * written before its publication.
   *
   * @returns whether it was made.
   * @throws {RealtimeError} `source_unavailable`: it is for all tables.
   */
  async ensure(): Promise<boolean> {
    const row = await this.#fetch();
    const options = this.#options();
    const quoted = escapeIdentifier(this.name);
    if (row === undefined) {
      await this.#database.pool.query(`CREATE PUBLICATION ${quoted} WITH (${options})`);
      return true;
    }
    if (row.all_tables) {
      throw new RealtimeError(
        "source_unavailable",
        `The publication ${quoted} is FOR ALL TABLES, so that updates of tables without a primary key would fail. Run: DROP PUBLICATION ${quoted};`,
      );
    }
    // A partition's truncation is told only when partitions are published as themselves.
    const isRight = row.complete && !row.by_root && (row.generated || !this.#publishesGenerated());
    if (!isRight) await this.#database.pool.query(`ALTER PUBLICATION ${quoted} SET (${options})`);
    return false;
  }

  async fetchEnrollment(): Promise<Enrollment> {
    return fetchEnrollment(this.#database.pool, this.name);
  }

  /** All that it names, whether their changes are streamed completely or not. */
  async fetchTables(): Promise<ReadonlySet<number>> {
    const result = await this.#database.pool.query<{ oid: string }>(
      `select r.prrelid::pg_catalog.int8 as oid from pg_catalog.pg_publication_rel r
       join pg_catalog.pg_publication p on p.oid = r.prpubid where p.pubname = $1`,
      [this.name],
    );
    return new Set(result.rows.map(({ oid }) => Number(oid)));
  }

  /** Puts a whole table in, whatever was of it, in a transaction that keeps its writers out. */
  async add(client: PoolClient, { oid, name }: CapturedTable): Promise<void> {
    const present = await client.query<{ whole: boolean }>(
      `select ${IS_WHOLE} as whole from pg_catalog.pg_publication_rel r
       join pg_catalog.pg_publication p on p.oid = r.prpubid where p.pubname = $1 and r.prrelid = $2::oid`,
      [this.name, oid],
    );
    const [row] = present.rows;
    if (row?.whole === true) return;
    const change = `ALTER PUBLICATION ${escapeIdentifier(this.name)}`;
    const shown = quoteQualifiedName(name);
    if (row !== undefined) await client.query(`${change} DROP TABLE ${shown}`);
    await client.query(`${change} ADD TABLE ONLY ${shown}`);
  }

  /**
   * Takes tables out that have got a virtual generated column since they came in. PostgreSQL would refuse every
   * UPDATE and DELETE of them: such a column cannot be part of the identity, which is the whole row.
   *
   * @returns their names, as SQL has them.
   */
  async withdrawUnwritable(): Promise<readonly string[]> {
    if (this.#database.version < WITH_GENERATED_COLUMNS) return [];
    const result = await this.#database.pool.query<{ shown: string }>(
      `select pg_catalog.format('%I.%I', n.nspname, c.relname) as shown
       from pg_catalog.pg_publication_rel r
       join pg_catalog.pg_publication p on p.oid = r.prpubid
       join pg_catalog.pg_class c on c.oid = r.prrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where p.pubname = $1
         and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v')`,
      [this.name],
    );
    const tables = result.rows.map(({ shown }) => shown);
    for (const table of tables) {
      await this.#database.pool.query(`ALTER PUBLICATION ${escapeIdentifier(this.name)} DROP TABLE ${table}`);
    }
    return tables;
  }

  #publishesGenerated(): boolean {
    return this.#database.version >= WITH_GENERATED_COLUMNS;
  }

  #options(): string {
    const generated = this.#publishesGenerated() ? ", publish_generated_columns = stored" : "";
    return `publish = 'insert, update, delete, truncate', publish_via_partition_root = false${generated}`;
  }

  async #fetch(): Promise<PublicationRow | undefined> {
    const generated = this.#publishesGenerated() ? "pubgencols = 's'" : "false";
    const result = await this.#database.pool.query<PublicationRow>(
      `select puballtables as all_tables, pubinsert and pubupdate and pubdelete and pubtruncate as complete,
         pubviaroot as by_root, ${generated} as generated
       from pg_catalog.pg_publication where pubname = $1`,
      [this.name],
    );
    return result.rows[0];
  }
}
