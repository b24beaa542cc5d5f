import type { Pool, PoolClient } from "pg";
import type { Image } from "./image.ts";
import type { CollectionPlan } from "./plan.ts";
import { imageOf } from "./postgres-json.ts";
import type { RowChange, RowWrite, StoreTransaction } from "./store.ts";

/** Opens a transaction on a connection of its own. */
export async function openPostgresTransaction(pool: Pool, id: number): Promise<StoreTransaction> {
  const client = await pool.connect();
  let failure: Error | undefined;
  const onError = (error: Error): void => {
    failure = error;
  };
  client.on("error", onError);
  const release = (error?: unknown): void => {
    client.off("error", onError);
    client.release(error !== undefined || failure !== undefined);
  };
  const run = async (sql: string, params: readonly unknown[] = []): Promise<readonly string[]> => {
    const { rows } = await client.query<{ row: string }>(sql, [...params]);
    return rows.map(({ row }) => row);
  };
  try {
    await run("begin");
    await run("insert into oracle.transactions values ($1)", [id]);
  } catch (error) {
    release(error);
    throw error;
  }
  return new PostgresTransaction(client, run, release);
}

class PostgresTransaction implements StoreTransaction {
  readonly #run: (sql: string, params?: readonly unknown[]) => Promise<readonly string[]>;
  readonly #client: PoolClient;
  readonly #release: (error?: unknown) => void;

  constructor(
    client: PoolClient,
    run: (sql: string, params?: readonly unknown[]) => Promise<readonly string[]>,
    release: (error?: unknown) => void,
  ) {
    this.#client = client;
    this.#run = run;
    this.#release = release;
  }

  async insert(collection: CollectionPlan, rows: readonly RowWrite[]): Promise<readonly Image[]> {
    const records = rows.map((row) => ({ ...keyOf(collection, row.key), ...row.values, mark: row.mark }));
    const texts = await this.#run(
      `insert into ${collection.name} as t select * from jsonb_populate_recordset(null::${collection.name}, $1)
       returning to_json(t)::text as row`,
      [JSON.stringify(records)],
    );
    return texts.map((text) => imageOf(collection, text));
  }

  async update(collection: CollectionPlan, rows: readonly RowChange[]): Promise<readonly Image[]> {
    const images: Image[] = [];
    for (const group of alike(rows)) images.push(...(await this.#updateAlike(collection, group)));
    return images;
  }

  /** One statement for all of them. A key that changes does so for itself, since the new one says nothing of the old. */
  async #updateAlike(collection: CollectionPlan, rows: readonly RowChange[]): Promise<readonly Image[]> {
    const names = [...Object.keys(rows[0]?.values ?? {}), "mark"];
    const [{ newKey, before } = {}] = rows;
    const keys = Object.keys(keyOf(collection, 0));
    const isRekeyed = newKey !== undefined;
    const records = rows.map((row) => ({
      ...keyOf(collection, row.newKey ?? row.key),
      ...row.values,
      mark: row.mark,
    }));
    const set = [...names, ...(isRekeyed ? keys : [])].map((name) => `${name} = v.${name}`);
    const match = isRekeyed ? "t.mark = $2" : keys.map((name) => `t.${name} = v.${name}`).join(" and ");
    const texts = await this.#run(
      `update ${collection.name} t set ${set.join(", ")}
       from jsonb_populate_recordset(null::${collection.name}, $1) v where ${match}
       returning to_json(t)::text as row`,
      [JSON.stringify(records), ...(isRekeyed ? [before?.mark] : [])],
    );
    return texts.map((text) => imageOf(collection, text));
  }

  async remove(collection: CollectionPlan, rows: readonly Image[]): Promise<readonly number[]> {
    const texts = await this.#run(
      `delete from ${collection.name} where mark = any($1::int[]) returning mark::text as row`,
      [rows.map(({ mark }) => mark)],
    );
    return texts.map(Number);
  }

  async truncate({ name }: CollectionPlan): Promise<void> {
    await this.#run(`truncate ${name}`);
  }

  async publish(tenant: string, mark: number): Promise<void> {
    await this.#run("select paperdb.publish($1, 'oracle.done', $2)", [tenant, JSON.stringify({ mark })]);
  }

  async savepoint(name: string): Promise<void> {
    await this.#run(`savepoint ${name}`);
  }

  async rollbackTo(name: string): Promise<void> {
    await this.#run(`rollback to ${name}`);
  }

  async release(name: string): Promise<void> {
    await this.#run(`release ${name}`);
  }

  async commit(): Promise<void> {
    await this.#run("commit");
    this.#release();
  }

  async rollback(): Promise<void> {
    try {
      await this.#client.query("rollback");
      this.#release();
    } catch (error) {
      this.#release(error);
    }
  }
}

function keyOf({ keyKind }: CollectionPlan, key: number): Readonly<Record<string, unknown>> {
  if (keyKind === "number") return { id: key };
  if (keyKind === "text") return { id: `k${String(key)}` };
  return { region: key % 2 === 0 ? "n" : "s", id: key };
}

/** Groups of rows that the same columns are written to, each in its order. */
function alike(rows: readonly RowChange[]): readonly (readonly RowChange[])[] {
  const groups = new Map<string, RowChange[]>();
  for (const row of rows) {
    const isAlone = row.newKey !== undefined;
    const name = isAlone ? String(row.mark) : Object.keys(row.values).toSorted().join(" ");
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups.values()];
}
