import { RealtimeError } from "@paperdb/protocol";
import { DatabaseError } from "pg";
import type { Pool, PoolClient, QueryResultRow } from "pg";
import type { KeyStore, StoredKey } from "../auth/key-store.ts";
import type { KeyRole } from "../auth/grant.ts";
import { createKeyId, createKeyText, hashKey } from "../auth/key-text.ts";
import { requireTenantId } from "./tenant-id.ts";

/** The plans that a tenant can be on; what they allow is configuration. */
export const PLANS = ["free", "pro", "team"] as const;

/** One of {@link PLANS}. */
export type Plan = (typeof PLANS)[number];

/** A tenant, as stored. */
export interface Tenant {
  readonly id: string;
  readonly plan: Plan;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** A key, without its text, which is not stored. */
export interface KeyInfo {
  readonly id: string;
  readonly role: KeyRole;
  /** The only collections that it grants; null: all. */
  readonly collections: readonly string[] | null;
  /** Filters by collection: what it grants of them; null: all. */
  readonly where: object | null;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** What a key is to grant besides its role. */
export interface KeyLimits {
  /** The only collections; they need not exist yet. Undefined: all. */
  readonly collections?: readonly string[] | undefined;
  /** `{"collection": filter}`, valid. */
  readonly where?: object | undefined;
}

/** A key that was just made: the one time that its text can be seen. */
export interface NewKey {
  readonly id: string;
  readonly role: KeyRole;
  readonly key: string;
}

/** A part of a list in order of ids. */
export interface Page {
  /** Start behind this id. */
  readonly after?: string | undefined;
  readonly limit: number;
}

const UNIQUE_VIOLATION = "23505";
/** Such as a NUL character, which text cannot hold. */
const DATA_EXCEPTION_CLASS = "22";
const FOREIGN_KEY_VIOLATION = "23503";
const CREATED_AT = `to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "createdAt"`;

/** Tenants and keys, in schema `paperdb`. All failures of the database are `key_store_unavailable`. */
export class TenantStore implements KeyStore {
  readonly #database: Pool | PoolClient;

  /** @param database - a client of a transaction, for all or nothing. */
  constructor(database: Pool | PoolClient) {
    this.#database = database;
  }

  /** @throws {RealtimeError} `invalid_request`, `conflict` when it exists. */
  async createTenant(id: string, plan: Plan): Promise<Tenant> {
    requireTenantId(id);
    const sql = `insert into paperdb.tenants (id, plan) values ($1, $2)
       on conflict do nothing returning id, plan, ${CREATED_AT}`;
    const [tenant] = await this.#query<TenantRow>(sql, [id, plan]);
    if (tenant === undefined) {
      throw new RealtimeError(
        "conflict",
        `There is a tenant "${id}" already: change its plan, or use another id.`,
      );
    }
    return tenant;
  }

  /** In order of ids. */
  listTenants(page: Page): Promise<readonly Tenant[]> {
    return this.#query<TenantRow>(
      `select id, plan, ${CREATED_AT} from paperdb.tenants where $1::text is null or id > $1 order by id limit $2`,
      [page.after ?? null, page.limit],
    );
  }

  /** @throws {RealtimeError} `tenant_not_found`. */
  async setPlan(id: string, plan: Plan): Promise<Tenant> {
    requireTenantId(id);
    const sql = `update paperdb.tenants set plan = $2 where id = $1 returning id, plan, ${CREATED_AT}`;
    const [tenant] = await this.#query<TenantRow>(sql, [id, plan]);
    return tenant ?? tenantNotFound(id);
  }

  /** Its keys go with it. @throws {RealtimeError} `tenant_not_found`. */
  async deleteTenant(id: string): Promise<void> {
    requireTenantId(id);
    const deleted = await this.#query("delete from paperdb.tenants where id = $1 returning id", [id]);
    if (deleted.length === 0) tenantNotFound(id);
  }

  /** @throws {RealtimeError} `tenant_not_found`. */
  async createKey(tenant: string, role: KeyRole, limits: KeyLimits = {}): Promise<NewKey> {
    requireTenantId(tenant);
    const key = createKeyText(role);
    const id = createKeyId();
    const collections = limits.collections === undefined ? null : [...limits.collections];
    const filters = limits.where === undefined ? null : JSON.stringify(limits.where);
    await this.#query(
      "insert into paperdb.keys (id, tenant_id, role, hash, collections, filters) values ($1, $2, $3, $4, $5, $6)",
      [id, tenant, role, hashKey(key), collections, filters],
      tenant,
    );
    return { id, role, key };
  }

  /** In order of ids. @throws {RealtimeError} `tenant_not_found`. */
  async listKeys(tenant: string, page: Page): Promise<readonly KeyInfo[]> {
    requireTenantId(tenant);
    const found = await this.#query("select 1 from paperdb.tenants where id = $1", [tenant]);
    if (found.length === 0) tenantNotFound(tenant);
    return this.#query<KeyRow>(
      `select id, role, collections, filters as "where", ${CREATED_AT} from paperdb.keys
       where tenant_id = $1 and ($2::text is null or id > $2) order by id limit $3`,
      [tenant, page.after ?? null, page.limit],
    );
  }

  /** @throws {RealtimeError} `tenant_not_found`, or `not_found` when the tenant has no such key. */
  async deleteKey(tenant: string, keyId: string): Promise<void> {
    requireTenantId(tenant);
    const sql = "delete from paperdb.keys where tenant_id = $1 and id = $2 returning id";
    const deleted = await this.#query(sql, [tenant, keyId]);
    if (deleted.length > 0) return;
    await this.listKeys(tenant, { limit: 1 });
    throw new RealtimeError(
      "not_found",
      `The tenant "${tenant}" has no key of this id: list its keys to see them.`,
    );
  }

  /** See {@link KeyStore.findByHash}. */
  async findByHash(hash: Buffer): Promise<StoredKey | undefined> {
    const [key] = await this.#query<StoredKeyRow>(`${STORED_KEYS} where k.hash = $1`, [hash]);
    return key;
  }

  /** See {@link KeyStore.findByIds}. */
  findByIds(ids: readonly string[]): Promise<readonly StoredKey[]> {
    return this.#query<StoredKeyRow>(`${STORED_KEYS} where k.id = any($1)`, [[...ids]]);
  }

  /** @param tenant - of a key that is inserted. */
  async #query<Row extends QueryResultRow>(
    sql: string,
    parameters: readonly unknown[],
    tenant?: string,
  ): Promise<readonly Row[]> {
    try {
      const result = await this.#database.query<Row>(sql, [...parameters]);
      return result.rows;
    } catch (error) {
      const code = error instanceof DatabaseError ? error.code : undefined;
      if (code === FOREIGN_KEY_VIOLATION && tenant !== undefined) return tenantNotFound(tenant);
      if (code === UNIQUE_VIOLATION)
        throw new RealtimeError("conflict", "It exists already.", { cause: error });
      if (code?.startsWith(DATA_EXCEPTION_CLASS) === true) {
        throw new RealtimeError(
          "invalid_request",
          "A value has characters that cannot be stored: remove them.",
          {
            cause: error,
          },
        );
      }
      throw new RealtimeError(
        "key_store_unavailable",
        "The database with tenants and keys did not answer: try again in a moment.",
        { cause: error, retryAfterSeconds: 1 },
      );
    }
  }
}

const STORED_KEYS = `select k.id, k.hash, k.role, k.collections, k.filters as "where", k.tenant_id as tenant, t.plan
  from paperdb.keys k join paperdb.tenants t on t.id = k.tenant_id`;

type TenantRow = Tenant & QueryResultRow;
type KeyRow = KeyInfo & QueryResultRow;
type StoredKeyRow = StoredKey & QueryResultRow;

function tenantNotFound(id: string): never {
  throw new RealtimeError(
    "tenant_not_found",
    `There is no tenant "${id}": create it first, or correct the id.`,
  );
}
