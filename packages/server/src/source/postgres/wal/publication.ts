import { escapeIdentifier } from "pg";
import type { PoolClient } from "pg";
import { RealtimeError } from "@paperdb/protocol";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { CapturedTable } from "../table.ts";
import {
  fetchContents,
  fetchEnrollment,
  fetchOptions,
  IS_WHOLE,
  publishesGenerated,
} from "./publication-contents.ts";
import type { Enrollment, PublicationContents, PublicationOptions } from "./publication-contents.ts";

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
    const { pool, version } = this.#database;
    const found = await fetchOptions(pool, this.name, version);
    const options = this.#options();
    const quoted = escapeIdentifier(this.name);
    if (found === undefined) {
      await pool.query(`CREATE PUBLICATION ${quoted} WITH (${options})`);
      return true;
    }
    if (found.all_tables) {
      throw new RealtimeError(
        "source_unavailable",
        `The publication ${quoted} is FOR ALL TABLES, so that updates of tables without a primary key would fail. Run: DROP PUBLICATION ${quoted};`,
      );
    }
    if (!this.isRight(found)) await pool.query(`ALTER PUBLICATION ${quoted} SET (${options})`);
    return false;
  }

  /** Whether it is there, and {@link ensure} has nothing to do. */
  isRight(found: PublicationOptions | undefined): boolean {
    if (found === undefined || found.all_tables || !found.complete) return false;
    // A partition's truncation is told only when partitions are published as themselves.
    return !found.by_root && (found.generated || !publishesGenerated(this.#database.version));
  }

  /** All that is to be known of it. */
  async fetchContents(): Promise<PublicationContents> {
    return fetchContents(this.#database.pool, this.name, this.#database.version);
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
   * @param tables - as SQL has their names.
   */
  async withdraw(tables: readonly string[]): Promise<void> {
    for (const table of tables) {
      await this.#database.pool.query(`ALTER PUBLICATION ${escapeIdentifier(this.name)} DROP TABLE ${table}`);
    }
  }

  #options(): string {
    const generated = publishesGenerated(this.#database.version)
      ? ", publish_generated_columns = stored"
      : "";
    return `publish = 'insert, update, delete, truncate', publish_via_partition_root = false${generated}`;
  }
}
