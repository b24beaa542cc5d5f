import type { Db, Document } from "mongodb";
import { Timestamp } from "mongodb";
import { UnsuitableServerError } from "./errors.ts";
import type { ServerFeatures } from "./pipeline.ts";
import { clusterTimeOf, type ClusterTime } from "./position.ts";
import { SettledTime } from "./settled-time.ts";
import { valueAt } from "./tenant-value.ts";

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

/** The server's clock: the newest operation that a majority of its replica set has. */
export class ServerClock {
  readonly #db: Db;
  readonly #settled: SettledTime;
  #newest: ClusterTime = "";

  /** @param settleMs - see {@link settled}. */
  constructor(db: Db, settleMs: number) {
    this.#db = db;
    this.#settled = new SettledTime(settleMs);
  }

  /** The newest time that was seen. */
  get newest(): ClusterTime {
    return this.#newest;
  }

  /** A time that was seen so long ago that no write of then is still on its way. */
  get settled(): ClusterTime {
    return this.#settled.value;
  }

  /**
   * Every change that commits after the call is later than this time. So is what a majority does not have yet: it may be
   * acknowledged after the call, and no stream has it before.
   */
  async fetchNow(): Promise<ClusterTime> {
    const time = committedTime(await this.#db.command({ hello: 1 }));
    if (time === undefined) {
      throw new UnsuitableServerError("The server does not tell its operation time: it is no replica set.");
    }
    if (time > this.#newest) this.#newest = time;
    this.#settled.add(this.#newest);
    return this.#newest;
  }
}

/** Up to when everything is committed, as an answer to `hello` says. A router knows nothing of its shards' majorities. */
export function committedTime(hello: Document): ClusterTime | undefined {
  const time = valueAt(hello, ["lastWrite", "majorityOpTime", "ts"]) ?? valueAt(hello, ["operationTime"]);
  return time instanceof Timestamp ? clusterTimeOf(time) : undefined;
}

function featuresOf(major: number, minor: number, patch: number): ServerFeatures {
  return {
    images: major >= 6,
    splitsLargeEvents: major >= 7 || (major === 6 && (minor > 0 || patch >= 9)),
  };
}
