import type { Pool } from "pg";
import { FIRST_OWN_OID, planTypes } from "./type-plan.ts";
import { fetchTypes } from "./type-query.ts";
import type { TypePlan } from "./value-type.ts";

/** How many types are remembered; beyond it they are looked up anew. */
const DEFAULT_MAX_TYPES = 10_000;

type Columns = readonly { readonly typeOid: number }[];

const GONE: TypePlan = {
  value: { kind: "unsupported", reason: "its type does not exist any more" },
  textCast: "unsupported",
};

/**
 * What the types of columns are, by their oids, looked up when they are first seen.
 *
 * They are looked up as they are now, not as they were when a row was written. Whoever has the catalog followed calls
 * {@link refresh}, and resets whoever saw rows of types that changed.
 */
export class TypeCatalog {
  readonly #database: { readonly pool: Pick<Pool, "query"> };
  readonly #maxTypes: number;
  #plans: ReadonlyMap<number, TypePlan> = new Map();
  /** Columns all of whose types are there. */
  #known = new WeakSet<Columns>();
  /** Loads come one after the other, so that none undoes another's. */
  #loading: Promise<unknown> = Promise.resolve();

  /** @param database - its pool is asked for each time. */
  constructor(database: { readonly pool: Pick<Pool, "query"> }, maxTypes: number = DEFAULT_MAX_TYPES) {
    this.#database = database;
    this.#maxTypes = maxTypes;
  }

  /** What is known of a type that was loaded. One that is not there is unsupported. */
  get(oid: number): TypePlan {
    return this.#plans.get(oid) ?? GONE;
  }

  /** Whether {@link load} of these columns would have nothing to do. Cheap to ask again for the same columns. */
  has(columns: Columns): boolean {
    if (this.#known.has(columns)) return true;
    if (!columns.every(({ typeOid }) => this.#plans.has(typeOid))) return false;
    this.#known.add(columns);
    return true;
  }

  /** Looks up the types of these columns that are not known yet. */
  async load(columns: Columns): Promise<void> {
    const wanted = [...new Set(columns.map(({ typeOid }) => typeOid))];
    await this.#inTurn(async () => {
      if (wanted.every((oid) => this.#plans.has(oid))) return;
      const missing = wanted.filter((oid) => !this.#plans.has(oid));
      const found = await this.#fetch(missing);
      const isTooMuch = this.#plans.size + found.size > this.#maxTypes;
      // What is wanted is kept, whatever the bound: an encoder is about to ask for it.
      this.#plans = isTooMuch ? await this.#fetch(wanted) : new Map([...this.#plans, ...found]);
      if (isTooMuch) this.#known = new WeakSet();
    });
  }

  /**
   * Looks all types up again that can change.
   *
   * @returns the oids of those that are not what they were: encoders of relations with them are made anew.
   */
  async refresh(): Promise<ReadonlySet<number>> {
    return this.#inTurn(async () => {
      const former = [...this.#plans].filter(([oid]) => oid >= FIRST_OWN_OID);
      const current = await this.#fetch(former.map(([oid]) => oid));
      this.#plans = new Map([...this.#plans, ...current]);
      const changed = former.filter(([oid, plan]) => JSON.stringify(plan) !== JSON.stringify(this.get(oid)));
      return new Set(changed.map(([oid]) => oid));
    });
  }

  async #fetch(oids: readonly number[]): Promise<Map<number, TypePlan>> {
    if (oids.length === 0) return new Map();
    const plans = planTypes(await fetchTypes(this.#database.pool, oids));
    for (const oid of oids) if (!plans.has(oid)) plans.set(oid, GONE);
    return plans;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#loading.then(work);
    this.#loading = result.catch(() => undefined);
    return result;
  }
}
