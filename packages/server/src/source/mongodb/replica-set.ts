import type { Db } from "mongodb";
import { Timestamp } from "mongodb";
import { UnsuitableServerError } from "./errors.ts";
import type { ServerFeatures } from "./pipeline.ts";
import { clusterTimeOf, type ClusterTime } from "./position.ts";

/** What a server says about itself. */
export interface ServerFacts {
  readonly version: string;
  readonly features: ServerFeatures;
  /** The replica set's name; `sharded` behind mongos. */
  readonly setName: string;
}

/** `startAtOperationTime`, transactions and `$changeStream` as it is used here. */
const OLDEST_MAJOR = 4;

/**
 * Looks whether the server can be a source.
 *
 * @throws {UnsuitableServerError} a sentence: not a replica set, or too old.
 */
export async function fetchServerFacts(db: Db): Promise<ServerFacts> {
  const hello: Readonly<Record<string, unknown>> = await db.command({ hello: 1 });
  const build: Readonly<Record<string, unknown>> = await db.command({ buildInfo: 1 });
  const version = String(build["version"]);
  const setName = hello["msg"] === "isdbgrid" ? "sharded" : hello["setName"];
  if (typeof setName !== "string") {
    throw new UnsuitableServerError(
      "MongoDB runs as a standalone server, and only a replica set has change streams: start mongod with --replSet and run rs.initiate(), one member is enough, see docs/mongodb.md.",
    );
  }
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major < OLDEST_MAJOR) {
    throw new UnsuitableServerError(
      `MongoDB ${version} is too old: PaperDB Realtime needs version 6 or newer.`,
    );
  }
  return { version, setName, features: featuresOf(major, minor, patch) };
}

/** The server's clock: the newest operation that it knows of. */
export class ServerClock {
  readonly #db: Db;
  #newest: ClusterTime = "";

  constructor(db: Db) {
    this.#db = db;
  }

  /** The newest time that was seen. */
  get newest(): ClusterTime {
    return this.#newest;
  }

  /** Every change that commits after the call is later than this time. */
  async fetchNow(): Promise<ClusterTime> {
    const { operationTime }: Readonly<Record<string, unknown>> = await this.#db.command({ hello: 1 });
    if (!(operationTime instanceof Timestamp)) {
      throw new UnsuitableServerError("The server does not tell its operation time: it is no replica set.");
    }
    const time = clusterTimeOf(operationTime);
    if (time > this.#newest) this.#newest = time;
    return this.#newest;
  }
}

function featuresOf(major: number, minor: number, patch: number): ServerFeatures {
  return {
    images: major >= 6,
    splitsLargeEvents: major >= 7 || (major === 6 && (minor > 0 || patch >= 9)),
  };
}
