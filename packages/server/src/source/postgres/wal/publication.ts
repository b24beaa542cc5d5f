import { escapeIdentifier } from "pg";
import { RealtimeError } from "@paperdb/protocol";
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

/** What of a table's changes is streamed. */
export interface Enrollment {
  /** The tables of the publication. */
  readonly published: ReadonlySet<number>;
  /** Those of them, or with partitions, whose rows of before would not be complete. */
  readonly withoutIdentity: ReadonlySet<number>;
}

/** Whether all changes of a table are streamed, with whole rows of before. */
export function isEnrolled(table: CapturedTable, enrollment: Enrollment): boolean {
  return enrollment.published.has(table.oid) && !enrollment.withoutIdentity.has(table.oid);
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
    const result = await this.#database.pool.query<{ oid: string; complete: boolean }>(
      `with recursive tree(root, oid) as (
         select r.prrelid, r.prrelid from pg_catalog.pg_publication_rel r
         join pg_catalog.pg_publication p on p.oid = r.prpubid where p.pubname = $1
         union all
         select t.root, i.inhrelid from tree t join pg_catalog.pg_class c on c.oid = t.oid and c.relkind = 'p'
         join pg_catalog.pg_inherits i on i.inhparent = t.oid
       )
       select t.root::pg_catalog.int8 as oid, pg_catalog.bool_and(c.relkind <> 'r' or c.relreplident = 'f') as complete
       from tree t join pg_catalog.pg_class c on c.oid = t.oid group by t.root`,
      [this.name],
    );
    const published = new Set(result.rows.map(({ oid }) => Number(oid)));
    const incomplete = result.rows.filter(({ complete }) => !complete).map(({ oid }) => Number(oid));
    return { published, withoutIdentity: new Set(incomplete) };
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
