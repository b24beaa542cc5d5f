import { MongoClient, type Db } from "mongodb";
import type { Logger } from "pino";
import type { Finding } from "../finding.ts";
import {
  fetchCollections,
  toCollections,
  type MongoCollection,
  type MongoCollectionsConfig,
} from "./collections.ts";
import { databaseOf, missingDatabase } from "./database-name.ts";
import { fetchLimits, type DatabaseLimits } from "./limits.ts";
import { openError } from "./errors.ts";
import { fetchServerFacts, type ServerFacts } from "./replica-set.ts";
import { MONGO_DEFAULTS } from "./settings.ts";

/** Which source {@link diagnose} looks at. */
export interface DoctorOptions {
  readonly name: string;
  readonly url: string;
  readonly database?: string | undefined;
  readonly collections?: MongoCollectionsConfig | undefined;
  readonly log: Logger;
  /** How long anything may take. Default 5,000. */
  readonly timeoutMs?: number;
}

/** Looks at everything that this source needs of its database, and says what to fix. Changes nothing. */
export async function diagnose(options: DoctorOptions): Promise<readonly Finding[]> {
  const { name, url, database = databaseOf(url), timeoutMs = 5_000 } = options;
  let client: MongoClient | undefined;
  try {
    client = new MongoClient(url, {
      appName: "paperdb-realtime doctor",
      serverSelectionTimeoutMS: timeoutMs,
      connectTimeoutMS: timeoutMs,
    });
    if (database === undefined) throw missingDatabase();
    const db = client.db(database);
    const facts = await fetchServerFacts(db);
    const limits = await fetchLimits(client);
    const { usable, unusable } = toCollections(await fetchCollections(db), options.collections);
    const aboutUsable = await Promise.all(
      [...usable.values()].map((collection) => aboutCollection(db, collection, facts, limits)),
    );
    return [
      ...aboutServer(facts, limits),
      ...aboutUsable,
      ...[...unusable.values()].map((sentence) => warning(sentence)),
    ];
  } catch (error) {
    options.log.debug("The database cannot be diagnosed");
    return [
      {
        level: "error",
        title: openError(name, error).message,
        fix: "Correct the url or the server, as the sentence says.",
      },
    ];
  } finally {
    await client?.close();
  }
}

function aboutServer({ version, features }: ServerFacts, limits: DatabaseLimits): readonly Finding[] {
  const { oplogMs, imageExpiryMs } = limits;
  const historyMs = MONGO_DEFAULTS.maxReplayAgeMs;
  const findings = [
    features.images
      ? ok(`MongoDB ${version} is reachable, and a replica set.`)
      : warning(
          `MongoDB ${version} has no pre-images: deletes are not delivered.`,
          "Upgrade to version 6 or newer.",
        ),
  ];
  if (oplogMs !== undefined) {
    findings.push(
      oplogMs < historyMs
        ? warning(
            `The oplog reaches back ${shownMinutes(oplogMs)}, less than the history (${shownMinutes(historyMs)}): an outage longer than that resets subscribers.`,
            "Enlarge it, see docs/mongodb.md. On a young or quiet replica set it may only be short for now.",
          )
        : ok(`The oplog reaches back ${shownMinutes(oplogMs)}.`),
    );
  }
  if (imageExpiryMs !== undefined && imageExpiryMs < historyMs) {
    findings.push(
      warning(
        `Pre-images expire after ${shownMinutes(imageExpiryMs)}, earlier than the history (${shownMinutes(historyMs)}): a client that resumes later than that misses deletes.`,
        'Raise it: db.adminCommand({ setClusterParameter: { changeStreamOptions: { preAndPostImages: { expireAfterSeconds: "off" } } } })',
      ),
    );
  }
  return findings;
}

async function aboutCollection(
  db: Db,
  { name, collection, tenantField, hasImages }: MongoCollection,
  { features }: ServerFacts,
  { mayEnableImages }: DatabaseLimits,
): Promise<Finding> {
  const documents = db.collection(collection);
  const options = { projection: { _id: 1 } };
  const ofTenant = await documents.findOne({ [tenantField]: { $exists: true } }, options);
  if (ofTenant === null && (await documents.findOne({}, options)) !== null) {
    return warning(
      `No document of collection "${name}" has the field ${tenantField}, so none belongs to a tenant.`,
      'Add it to the documents, or set "tenantField" of the collection.',
    );
  }
  if (!features.images || hasImages || mayEnableImages !== false) return ok(`"${name}" is a collection.`);
  return warning(
    `Pre-images of collection "${name}" are not enabled, and the user may not enable them: its deletes are not delivered.`,
    `Run: db.runCommand({ collMod: ${JSON.stringify(collection)}, changeStreamPreAndPostImages: { enabled: true } })`,
  );
}

function shownMinutes(ms: number): string {
  const minutes = ms / 60_000;
  return minutes < 120 ? `${String(Math.round(minutes))} min` : `${String(Math.round(minutes / 60))} h`;
}

function ok(title: string): Finding {
  return { level: "ok", title };
}

function warning(title: string, fix?: string): Finding {
  return fix === undefined ? { level: "warning", title } : { level: "warning", title, fix };
}
