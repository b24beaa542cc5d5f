import type { Logger } from "pino";
import type { DatabasePool } from "../database-pool.ts";
import { fetchVisibility } from "../snapshot/visibility.ts";
import type { Barriers } from "./barriers.ts";
import type { PgoutputParser } from "./pgoutput.ts";
import type { RecentCommits } from "./recent-commits.ts";
import type { Relation } from "./relation.ts";
import type { WalStats } from "./stats.ts";

/** What a {@link RelationSweep} works with. */
export interface RelationSweepOptions {
  readonly parser: Pick<PgoutputParser, "relations" | "forget">;
  readonly database: Pick<DatabasePool, "pool">;
  readonly barriers: Pick<Barriers, "pass">;
  readonly commits: Pick<RecentCommits, "expect">;
  readonly settings: { readonly maxUnsweptRelations: number };
  readonly stats: Pick<WalStats, "relations">;
  readonly log: Logger;
  /** Whether what comes was committed after the start. */
  readonly isCaughtUp: () => boolean;
}

/**
 * Forgets the relations of one run of the stream whose tables were dropped. PostgreSQL describes each once, so all
 * others are kept: they are no more than the database has.
 */
export class RelationSweep {
  readonly #options: RelationSweepOptions;
  #sweepAt: number;
  #isUnderWay = false;

  constructor(options: RelationSweepOptions) {
    this.#options = options;
    this.#sweepAt = options.settings.maxUnsweptRelations;
    this.#tell();
  }

  /** The stream has described a relation. */
  described(): void {
    const { parser, log, isCaughtUp } = this.#options;
    this.#tell();
    if (this.#isUnderWay || parser.relations.size < this.#sweepAt || !isCaughtUp()) return;
    this.#isUnderWay = true;
    void this.#sweep()
      .catch((error: unknown) => {
        log.info({ reason: String(error) }, "Dropped tables cannot be forgotten yet");
      })
      .finally(() => {
        this.#isUnderWay = false;
      });
  }

  async #sweep(): Promise<void> {
    const { parser, barriers, settings } = this.#options;
    const gone = await this.#findGone();
    if (gone === undefined) return;
    if (gone.length > 0) {
      // Whoever wrote to a table had committed before it was dropped: nothing of it comes behind this place.
      await barriers.pass();
      for (const relation of gone) parser.forget(relation);
      this.#tell();
    }
    this.#sweepAt = parser.relations.size + settings.maxUnsweptRelations;
  }

  /** Undefined while it cannot be told: a commit is streamed before it is visible, and the tables that it made are not gone. */
  async #findGone(): Promise<readonly Relation[] | undefined> {
    const { parser, commits, database } = this.#options;
    const described = [...parser.relations.values()];
    const firstUnseen = commits.expect();
    if (firstUnseen(await fetchVisibility(database.pool)) !== undefined) return undefined;
    const result = await database.pool.query<{ oid: string }>(
      "select oid::pg_catalog.int8 from pg_catalog.pg_class where oid = any ($1::pg_catalog.oid[])",
      [described.map(({ oid }) => oid)],
    );
    const existing = new Set(result.rows.map(({ oid }) => Number(oid)));
    return described.filter(({ oid }) => !existing.has(oid));
  }

  #tell(): void {
    this.#options.stats.relations = this.#options.parser.relations.size;
  }
}
