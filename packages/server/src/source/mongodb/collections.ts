import type { CollectionInfo, Db } from "mongodb";
import { codeOf } from "./errors.ts";

/** One entry of a source's `collections`. */
interface MongoCollectionConfig {
  /** Its name in the database. */
  readonly collection: string;
  readonly tenantField?: string | undefined;
  readonly hide?: readonly string[] | undefined;
}

/** Public name → what it stands for. */
export type MongoCollectionsConfig = Readonly<Record<string, MongoCollectionConfig>>;

/** The tenant field where none is configured. */
const DEFAULT_TENANT_FIELD = "tenantId";

/** A collection that can be subscribed to. */
export interface MongoCollection {
  /** Its public name. */
  readonly name: string;
  /** Its name in the database. */
  readonly collection: string;
  /** The path of the field whose text form is the tenant, joined by dots. */
  readonly tenantField: string;
  /** Paths of fields that are never delivered. */
  readonly hidden: ReadonlySet<string>;
  /** Another one after it was dropped and made again; undefined where the user may not see it. */
  readonly uuid: string | undefined;
  /** Whether pre- and post-images are enabled, as the catalog has it. */
  readonly hasImages: boolean;
}

/** What the collections of a database are to clients. */
export interface MongoCollections {
  readonly usable: ReadonlyMap<string, MongoCollection>;
  /** Names that are no collections → why, as a sentence. */
  readonly unusable: ReadonlyMap<string, string>;
}

/** One line of `listCollections`. */
export interface ListedCollection {
  readonly name: string;
  readonly type: string;
  readonly uuid: string | undefined;
  readonly hasImages: boolean;
}

/** Code of an action that the user has no right to. */
const UNAUTHORIZED = 13;

/** Lists what is in the database; for a user who may not list all, what it may read. */
export async function fetchCollections(db: Db): Promise<readonly ListedCollection[]> {
  try {
    const rows = await db.listCollections({}, { nameOnly: false }).toArray();
    return rows.map(toListed);
  } catch (error) {
    if (codeOf(error) !== UNAUTHORIZED) throw error;
    const rows = await db.listCollections({}, { nameOnly: true, authorizedCollections: true }).toArray();
    return rows.map(toListed);
  }
}

/** Decides what is a collection, and under which name. */
export function toCollections(
  listed: readonly ListedCollection[],
  config: MongoCollectionsConfig | undefined,
): MongoCollections {
  const usable = new Map<string, MongoCollection>();
  const unusable = new Map<string, string>();
  const entries = config ?? byOwnName(listed);
  const byName = new Map(listed.map((row) => [row.name, row]));
  for (const [name, { collection, tenantField = DEFAULT_TENANT_FIELD, hide = [] }] of Object.entries(
    entries,
  )) {
    const row = byName.get(collection);
    const problem = whyUnusable(name, collection, row);
    if (row === undefined || problem !== undefined) {
      unusable.set(name, problem ?? "");
      continue;
    }
    const { uuid, hasImages } = row;
    usable.set(name, { name, collection, tenantField, hidden: new Set(hide), uuid, hasImages });
  }
  return { usable, unusable };
}

function byOwnName(listed: readonly ListedCollection[]): MongoCollectionsConfig {
  return Object.fromEntries(
    listed
      .filter(({ name }) => !name.startsWith("system.") && !name.startsWith("enxcol_."))
      .map(({ name }) => [name, { collection: name }]),
  );
}

function whyUnusable(
  name: string,
  collection: string,
  row: ListedCollection | undefined,
): string | undefined {
  if (row === undefined) {
    return `The MongoDB collection "${collection}" of collection "${name}" does not exist: create it, or correct its name.`;
  }
  if (row.type === "collection") return undefined;
  const kind = row.type === "timeseries" ? "a time series" : `a ${row.type}`;
  return `"${collection}" is ${kind}, and MongoDB has change streams for ordinary collections only.`;
}

function toListed(row: Partial<CollectionInfo> & { readonly name: string }): ListedCollection {
  const { name, type = "collection", options, info } = row;
  const images: unknown = options?.["changeStreamPreAndPostImages"];
  return {
    name,
    type,
    uuid: info?.uuid?.toString("hex"),
    hasImages:
      typeof images === "object" && images !== null && "enabled" in images && images.enabled === true,
  };
}
