import type { ChangeStream, ChangeStreamOptions, Db } from "mongodb";
import { within } from "../../timing/within.ts";
import { timeOfChange, type RawChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";
import { UnreadableEventError } from "./errors.ts";
import { Fragments } from "./fragments.ts";
import { changePipeline, type ServerFeatures } from "./pipeline.ts";
import { timeBefore, tokenTime, toTimestamp, type ClusterTime } from "./position.ts";
import type { ServerClock } from "./replica-set.ts";
import type { MongoSettings } from "./settings.ts";

/** What a stream is opened with. */
export interface StreamRequest {
  readonly db: Db;
  readonly clock: ServerClock;
  readonly collection: MongoCollection;
  readonly tenants: ReadonlySet<string>;
  readonly features: ServerFeatures;
  /** Whether changes carry images; without them documents are looked up. */
  readonly images: boolean;
  /** Whether changes are to have their hidden fields. */
  readonly withHidden: boolean;
  /** The first cluster time to read, from its first event on. */
  readonly from: ClusterTime;
  readonly maxAwaitTimeMs: number;
  readonly settings: MongoSettings;
}

/** What a {@link StreamReader} gives: an event, or that there is none at the moment. */
export type Read = { readonly change: RawChange; readonly time: ClusterTime } | "idle";

/** One open change stream. The driver resumes it by itself after an election or a cut. */
export class StreamReader {
  /** Whether changes have their hidden fields. */
  readonly withHidden: boolean;
  readonly #stream: ChangeStream;
  readonly #clock: ServerClock;
  readonly #from: ClusterTime;
  readonly #fragments: Fragments;
  /** Asked for when the stream was opened. */
  #first: Promise<RawChange | null> | undefined;
  #readTo: ClusterTime;
  /** Up to which the server had nothing more to send. */
  #idleAt: ClusterTime | undefined;
  /** As far as can be said of a server whose tokens do not tell a time. */
  #settledAt: ClusterTime = "";
  /** What the server had when the stream was opened. */
  readonly #backlogTo: ClusterTime;
  #isCaughtUp = false;
  #closed = false;

  private constructor(stream: ChangeStream, first: Promise<RawChange | null>, request: StreamRequest) {
    this.withHidden = request.withHidden;
    this.#stream = stream;
    this.#first = first;
    this.#clock = request.clock;
    this.#from = request.from;
    this.#readTo = request.from;
    this.#backlogTo = request.clock.newest;
    this.#fragments = new Fragments(request.settings.maxFragments);
  }

  /** Resolves once the server has the stream: from then on nothing after `from` is missed. */
  static async open(request: StreamRequest): Promise<StreamReader> {
    const { db, collection, features, settings } = request;
    const tenants = request.tenants.size > settings.maxMatchedTenants ? "all" : request.tenants;
    const stream = db
      .collection(collection.collection)
      .watch(changePipeline(collection, tenants, features, request.withHidden), streamOptions(request));
    // Without a listener, an error that the driver emits while closing would end the process.
    stream.on("error", ignoreEmitted);
    try {
      // The token changes with the first answer; without events the next one is a while away.
      const answered = new Promise<void>((resolve) => {
        stream.once("resumeTokenChanged", () => resolve());
      });
      const first: Promise<RawChange | null> = stream.tryNext();
      await within(settings.watchTimeoutMs, Promise.race([answered, first]));
      return new StreamReader(stream, first, request);
    } catch (error) {
      await stream.close();
      throw error;
    }
  }

  /** A stream that is opened here reads everything again that follows. */
  get readTo(): ClusterTime {
    return this.#readTo;
  }

  /** Everything up to this time was read; the server sends nothing of it any more. */
  get completeTo(): ClusterTime {
    const before = timeBefore(this.#readTo);
    return before > this.#settledAt ? before : this.#settledAt;
  }

  /** All that the server had when the stream was opened was read. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** The next answer was asked for when the stream was opened. */
  get isOpening(): boolean {
    return this.#first !== undefined;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** The next event; `idle` when the server has sent all that it has. */
  async next(): Promise<Read> {
    for (;;) {
      const { settled } = this.#clock;
      const asked: Promise<RawChange | null> = this.#first ?? this.#stream.tryNext();
      this.#first = undefined;
      const change = await asked;
      if (change === null) {
        if (this.#stream.closed && !this.#closed) throw new Error("The change stream has ended.");
        this.#idle(settled);
        return "idle";
      }
      const whole = this.#fragments.add(change);
      if (whole === undefined) continue;
      const time = timeOfChange(whole);
      if (time === undefined) throw new UnreadableEventError("An event has no cluster time.");
      this.#advance(time);
      return { change: whole, time };
    }
  }

  /** Whether everything up to this time has been read, as far as the server tells. */
  hasReached(time: ClusterTime): boolean {
    return this.#readTo >= time || this.#readToByToken() === undefined;
  }

  /** Whether every event up to this time was read already. */
  hasRead(time: ClusterTime): boolean {
    return this.#readTo > time || (this.#idleAt !== undefined && this.#idleAt >= time);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#stream.close();
  }

  /** @param settled - known before the server was asked. */
  #idle(settled: ClusterTime): void {
    const readTo = this.#readToByToken();
    this.#idleAt = readTo ?? this.#idleAt;
    this.#advance(readTo);
    if (readTo === undefined && !this.#fragments.isPartial && settled > this.#settledAt) {
      this.#settledAt = settled;
    }
    if (this.hasReached(this.#backlogTo)) this.#isCaughtUp = true;
  }

  #readToByToken(): ClusterTime | undefined {
    return this.#fragments.isPartial
      ? undefined
      : tokenTime(this.#stream.resumeToken, this.#from, this.#clock.newest);
  }

  #advance(time: ClusterTime | undefined): void {
    if (time !== undefined && time > this.#readTo) this.#readTo = time;
  }
}

/** Failures reach the reader as rejections of its calls. */
function ignoreEmitted(): void {
  // Nothing to do here.
}

function streamOptions({ images, features, from, maxAwaitTimeMs }: StreamRequest): ChangeStreamOptions {
  return {
    startAtOperationTime: toTimestamp(from),
    fullDocument: images ? "whenAvailable" : "updateLookup",
    ...(features.images ? { fullDocumentBeforeChange: "whenAvailable" } : {}),
    maxAwaitTimeMS: maxAwaitTimeMs,
    promoteValues: false,
    bsonRegExp: true,
    enableUtf8Validation: false,
  };
}
