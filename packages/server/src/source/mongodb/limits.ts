import { Timestamp, type Document, type MongoClient } from "mongodb";

/** What {@link fetchLimits} could find out; undefined where the user may not see it. */
export interface DatabaseLimits {
  /** How far the oplog reaches back. */
  readonly oplogMs: number | undefined;
  /** How long pre-images are kept; undefined also when they are kept as long as the oplog. */
  readonly imageExpiryMs: number | undefined;
  /** Whether the user may run `collMod`. */
  readonly mayEnableImages: boolean | undefined;
}

/** Asks a server how far its history goes, as far as the user has a right to. */
export async function fetchLimits(client: MongoClient): Promise<DatabaseLimits> {
  const [oplogMs, imageExpiryMs, mayEnableImages] = await Promise.all([
    orUnknown(fetchOplogMs(client)),
    orUnknown(fetchImageExpiryMs(client)),
    orUnknown(fetchMayEnableImages(client)),
  ]);
  return { oplogMs, imageExpiryMs, mayEnableImages };
}

/** Each of these needs rights that the source itself does without. */
function orUnknown<T>(fact: Promise<T | undefined>): Promise<T | undefined> {
  return fact.catch(() => undefined);
}

async function fetchOplogMs(client: MongoClient): Promise<number | undefined> {
  const oplog = client.db("local").collection("oplog.rs");
  const options = { projection: { ts: 1 } };
  const oldest = await oplog.findOne({}, { ...options, sort: { $natural: 1 } });
  const newest = await oplog.findOne({}, { ...options, sort: { $natural: -1 } });
  const from: unknown = oldest?.["ts"];
  const to: unknown = newest?.["ts"];
  return from instanceof Timestamp && to instanceof Timestamp ? (to.t - from.t) * 1000 : undefined;
}

async function fetchImageExpiryMs(client: MongoClient): Promise<number | undefined> {
  const reply: Document = await client.db("admin").command({ getClusterParameter: "changeStreamOptions" });
  const [parameter]: readonly Document[] = reply["clusterParameters"] ?? [];
  const seconds: unknown = parameter?.["preAndPostImages"]?.expireAfterSeconds;
  return typeof seconds === "number" ? seconds * 1000 : undefined;
}

async function fetchMayEnableImages(client: MongoClient): Promise<boolean | undefined> {
  const reply: Document = await client.db("admin").command({ connectionStatus: 1, showPrivileges: true });
  const users: readonly unknown[] | undefined = reply["authInfo"]?.authenticatedUsers;
  // A server without access control has no users.
  if (users === undefined || users.length === 0) return undefined;
  const privileges: readonly Document[] = reply["authInfo"]?.authenticatedUserPrivileges ?? [];
  return privileges.some(({ actions }) => Array.isArray(actions) && actions.includes("collMod"));
}
