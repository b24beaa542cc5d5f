import { Pool } from "pg";
import { pino } from "pino";
import { channelId } from "../../packages/server/src/source/change-source.ts";
import type { ChangeSink, ChannelKey, SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { PostgresNotifySource } from "../../packages/server/src/source/postgres/notify-source.ts";
import type { PostgresNotifySourceOptions } from "../../packages/server/src/source/postgres/notify-source.ts";
import { createDatabase } from "./postgres.ts";
import type { TestDatabase } from "./postgres.ts";
import { until } from "./until.ts";

/**
 * A database whose clients create tables in `public`. The server's user is named
 * `paperdb`, so without this its tables would go to the product's own schema.
 */
export async function createApplicationDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  const url = new URL(database.url);
  url.searchParams.set("options", "-c search_path=public");
  const pool = new Pool({ connectionString: url.href, max: 10 });
  // A test that ends connections ends these too; queries on them fail by themselves.
  pool.on("error", () => undefined);
  return {
    ...database,
    pool,
    query: (sql, params) => pool.query(sql, params === undefined ? undefined : [...params]),
    async drop() {
      await pool.end();
      await database.drop();
    },
  };
}

/** A document change as a test reads it. */
interface ReceivedChange {
  readonly type: string;
  readonly id: string;
  readonly document: Readonly<Record<string, unknown>>;
  /** The document exactly as it would be sent. */
  readonly text: string;
}

/** Keeps what a source pushes, in order. */
class RecordingSink implements ChangeSink {
  readonly events: SourceEvent[] = [];
  readonly resets: { readonly channels: readonly string[] | "all"; readonly reason: string }[] = [];
  readonly droppedCollections: string[] = [];
  /** Positions of events and resets in the order in which they came. */
  readonly positions: string[] = [];

  append(events: readonly SourceEvent[]): void {
    this.events.push(...events);
    this.positions.push(...events.map((event) => event.position));
  }

  lost(channels: Iterable<ChannelKey> | "all", position: string, reason: string): void {
    this.resets.push({ channels: channels === "all" ? "all" : [...channels].map(channelId), reason });
    this.positions.push(position);
  }

  dropped(collection: string): void {
    this.droppedCollections.push(collection);
  }

  /** The changes of one channel so far. */
  changes(tenant: string, collection: string): readonly ReceivedChange[] {
    return this.events.flatMap(({ channel, body }) =>
      "documentId" in body && channel.tenant === tenant && channel.collection === collection
        ? [
            {
              type: body.type,
              id: body.documentId,
              document: parseObject(body.document),
              text: body.document,
            },
          ]
        : [],
    );
  }

  /** Waits for a number of changes of one channel, and refuses more. */
  async next(tenant: string, collection: string, count: number): Promise<readonly ReceivedChange[]> {
    await until(() => this.changes(tenant, collection).length >= count, {
      describe: () =>
        `${String(count)} changes of ${collection} for ${tenant}; there are ${String(this.changes(tenant, collection).length)}`,
    });
    const changes = this.changes(tenant, collection);
    if (changes.length > count) throw new Error(`There are ${String(changes.length)} changes.`);
    return changes;
  }

  /** How often a channel was reset for this reason. */
  resetsOf(tenant: string, collection: string, reason: string): number {
    const id = channelId({ tenant, collection });
    return this.resets.filter(
      (reset) => reset.reason === reason && (reset.channels === "all" || reset.channels.includes(id)),
    ).length;
  }
}

/** A source that records, and the events that were published in SQL. */
export interface TestSource {
  readonly source: PostgresNotifySource;
  readonly sink: RecordingSink;
  readonly published: { readonly tenant: string; readonly topic: string; readonly data: string }[];
  watch(tenant: string, collection: string): Promise<string>;
  /** Everything that committed before this call has been received when it resolves. */
  settle(query: (sql: string, params: readonly unknown[]) => Promise<unknown>): Promise<void>;
}

/** Opens a source that records what it pushes. */
export async function openTestSource(
  options: Pick<PostgresNotifySourceOptions, "url"> & Partial<PostgresNotifySourceOptions>,
): Promise<TestSource> {
  const sink = new RecordingSink();
  const published: { tenant: string; topic: string; data: string }[] = [];
  const source = new PostgresNotifySource({
    name: "postgres",
    sink,
    topics: { publish: (tenant, topic, data) => published.push({ tenant, topic, data }) },
    log: pino({ level: "silent" }),
    ...options,
  });
  await source.open();
  let barriers = 0;
  return {
    source,
    sink,
    published,
    watch: (tenant, collection) => source.watch({ tenant, collection }),
    async settle(query) {
      barriers += 1;
      const topic = `barrier.${String(barriers)}`;
      await query("select paperdb.publish('barrier', $1, 'null')", [topic]);
      await until(() => published.some((event) => event.topic === topic), { describe: topic });
    },
  };
}

/** Reads a JSON object. */
export function parseObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw new TypeError("A document is no object.");
  return Object.fromEntries(Object.entries(value));
}
