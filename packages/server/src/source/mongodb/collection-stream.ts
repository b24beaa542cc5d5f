import { setTimeout as sleep } from "node:timers/promises";
import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../change-source.ts";
import type { RawChange } from "./change.ts";
import { CollectionReader, type CollectionReaderOptions } from "./collection-reader.ts";
import type { MongoCollection } from "./collections.ts";
import { classify, reasonOf } from "./errors.ts";
import { Failures } from "./failures.ts";
import { Joins, type Join } from "./join.ts";
import { Members, type Reading } from "./members.ts";
import { within } from "../../timing/within.ts";
import { ENDING_EVENTS } from "./pipeline.ts";
import { barrierPosition, clusterTimeMs, type ClusterTime } from "./position.ts";
import { Turns } from "./turns.ts";

/** A stream has events within a moment. */
const DELIVERY_POLL_MS = 5;

/** What a {@link CollectionStream} works with. */
export interface CollectionStreamOptions extends CollectionReaderOptions {
  /** How long changes keep their images. */
  readonly imageExpiryMs: number;
  /** Enables images as far as possible; whether changes carry them. */
  readonly ensureImages: () => Promise<boolean>;
  /** The collection was dropped or renamed. */
  readonly onEnded: () => void;
  /** Nobody is left. */
  readonly onEmpty: () => void;
}

/**
 * The one change stream of a collection in use, and the tenants in its `$match`.
 *
 * For tenants that join, the next stream is opened while the one before goes on, from
 * where that has read to; what both read is delivered once, by its position. So nobody
 * waits for others to join, and nothing is missed or repeated.
 */
export class CollectionStream {
  readonly collection: MongoCollection;
  readonly #options: CollectionStreamOptions;
  readonly #failures: Failures;
  readonly #members: Members;
  readonly #joins = new Joins();
  readonly #turns: Turns;
  readonly #reader: CollectionReader;
  #lostReason: string | undefined;
  /** Counts what {@link restart} was asked for. */
  #restarts = 0;
  #hasImages: boolean | undefined;
  /** Why; undefined while it is not closed. */
  #closeReason: Error | undefined;

  constructor(collection: MongoCollection, options: CollectionStreamOptions) {
    const { buffer, needs, settings, stats, log } = options;
    this.collection = collection;
    this.#options = options;
    this.#failures = new Failures(settings);
    this.#reader = new CollectionReader(collection, options);
    this.#turns = new Turns(
      () => this.#turn(),
      () => this.#planNext(),
    );
    this.#members = new Members({
      collection,
      buffer,
      needs,
      stats,
      log,
      maxDocumentBytes: settings.maxDocumentBytes,
    });
  }

  /** Whether changes carry images; undefined before that is known. */
  get hasImages(): boolean | undefined {
    return this.#hasImages;
  }

  /** Whether the tenant's events since then can be read again without hiding that some were lost. */
  isReadableSince(tenant: string, since: Position): boolean {
    const member = this.#members.get(tenant);
    return member !== undefined && since >= member.readableSince;
  }

  get memberCount(): number {
    return this.#members.size;
  }

  get isOpen(): boolean {
    return this.#reader.isOpen;
  }

  /** Why changes do not arrive at the moment, although there are subscribers. */
  get problem(): string | undefined {
    return this.#reader.isOpen ? undefined : this.#failures.reason;
  }

  /** Resolves once the stream with this tenant is open, with the position since which nothing is missed. */
  async join(key: ChannelKey): Promise<Position> {
    if (this.#closeReason !== undefined) throw this.#closeReason;
    const member = this.#members.get(key.tenant);
    if (member !== undefined) {
      member.leftAtMs = undefined;
      if (this.#reader.isOpen) {
        // Nothing up to the position may reach the log after the caller has it.
        await this.#options.buffer.drain();
        return member.lastPosition;
      }
    }
    const joined = this.#joins.add(key);
    this.#turns.plan(this.#options.settings.joinWindowMs);
    return joined;
  }

  /** Resolves once the log has all events up to this time. */
  async reached(time: ClusterTime, signal: AbortSignal): Promise<void> {
    await this.#reader.reached(time, signal);
    await this.#options.buffer.drain();
  }

  /** Resolves once the log has the tenant's events up to this one, which the server has. Rejects with the signal's reason. */
  async delivered(tenant: string, position: Position, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const member = this.#members.get(tenant);
      if (member === undefined) throw new Error("The tenant is not watched any more.");
      if (member.lastPosition >= position) break;
      await sleep(DELIVERY_POLL_MS, undefined, { signal });
    }
    await this.#options.buffer.drain();
  }

  /** See {@link ChangeSource.position}. */
  position(tenant: string): Position | undefined {
    const isKnown = this.#lostReason === undefined && this.#options.buffer.isEmpty;
    const { isOpen, completeTo } = this.#reader;
    if (!isOpen || completeTo === undefined || !isKnown) return undefined;
    return this.#members.reach(tenant, completeTo);
  }

  /** The tenant has no subscribers any more. */
  leave(tenant: string): void {
    const member = this.#members.get(tenant);
    if (member === undefined) return;
    member.leftAtMs = Date.now();
    this.#planForLeft();
  }

  /**
   * Resolves once every event that reaches the log has what filters need. The collection has images.
   *
   * @param hidden - whether hidden fields are needed too.
   */
  async filter(hidden: boolean): Promise<void> {
    const { needs, settings } = this.#options;
    const isHiddenNews = hidden && !needs.hidden;
    needs.prior = true;
    needs.hidden ||= hidden;
    const isUsed = this.#reader.isOpen || this.#turns.isRunning || this.#members.size > 0;
    const isUnknown = this.#members.hasUnknownPrior || this.#hasImages === false;
    if (isUsed && (isUnknown || isHiddenNews)) this.restart("prior_unknown");
    // Also when it is being restarted already, for whoever needed it first.
    if (this.#lostReason === undefined) return;
    await within(settings.watchTimeoutMs, this.#joins.addRestart(this.collection.name));
  }

  /** Changes may be missing for a reason outside the stream: it is opened again from now. */
  restart(reason: string): void {
    this.#lostReason ??= reason;
    this.#restarts += 1;
    this.#turns.plan(0);
  }

  async close(reason: Error): Promise<void> {
    this.#closeReason = reason;
    this.#turns.close();
    this.#joins.reject(reason);
    this.#members.clear();
    await this.#reader.close();
  }

  /** Makes the stream what it should be. */
  async #turn(): Promise<void> {
    const dropped = this.#members.dropLeft(Date.now() - this.#options.settings.leaveDelayMs);
    if (this.#members.size === 0 && this.#joins.size === 0) this.#options.onEmpty();
    else if (dropped || !this.#isCurrent) await this.#reopen();
  }

  #planNext(): void {
    if (this.#joins.size > 0) this.#turns.plan(this.#options.settings.joinWindowMs);
    else if (this.#reader.isOpen && !this.#isCurrent) this.#turns.plan(0);
    else this.#planForLeft();
  }

  get #isCurrent(): boolean {
    return this.#reader.isOpen && this.#lostReason === undefined && this.#joins.size === 0;
  }

  async #reopen(): Promise<void> {
    const joins = this.#joins.take();
    let restarts: readonly Join[] = [];
    const tenants = new Set([...this.#members.tenants(), ...joins.map(({ key }) => key.tenant)]);
    try {
      const images = await this.#options.ensureImages();
      // Changes of before have no images, so a stream that relies on them cannot begin there.
      if (images && this.#hasImages === false) this.#lostReason ??= "images_enabled";
      this.#hasImages = images;
      const now = await this.#options.clock.fetchNow();
      if (images && this.#haveImagesExpired(now)) this.#lostReason ??= "history_lost";
      const lostReason = this.#lostReason;
      const restartsBefore = this.#restarts;
      restarts = this.#joins.takeRestarts();
      const readTo = lostReason === undefined ? this.#reader.readTo : undefined;
      const from = readTo === undefined || readTo > now ? now : readTo;
      await this.#reader.switchTo(tenants, from, images);
      this.#members.startReading();
      this.#failures.opened();
      if (lostReason !== undefined) {
        // Who asked for another restart meanwhile may need more than this stream was opened with.
        if (this.#restarts === restartsBefore) this.#lostReason = undefined;
        this.#members.lost(now, lostReason);
      }
      await this.#admit(joins, restarts, now);
    } catch (error) {
      for (const join of [...joins, ...restarts, ...this.#joins.takeRestarts()]) join.reject(error);
      this.#openFailed(error);
    }
  }

  /** The stream is open with them. */
  async #admit(joins: readonly Join[], restarts: readonly Join[], now: ClusterTime): Promise<void> {
    const admitted = joins.map(({ key, resolve }) => ({ member: this.#members.admit(key, now), resolve }));
    await this.#options.buffer.drain();
    for (const { resolve } of restarts) resolve(barrierPosition(now));
    for (const { member, resolve } of admitted) resolve(member.lastPosition);
    void this.#read();
  }

  /** A delete that has lost its image is left out without a word. */
  #haveImagesExpired(now: ClusterTime): boolean {
    const { completeTo } = this.#reader;
    if (completeTo === undefined) return false;
    return clusterTimeMs(now) - clusterTimeMs(completeTo) > this.#options.imageExpiryMs;
  }

  async #read(): Promise<void> {
    const settledAtMs = Date.now() + 2 * this.#options.settings.maxRetryMs;
    try {
      await this.#reader.read((read, reading) => {
        if (read !== "idle") this.#take(read.change, read.time, reading);
        if (Date.now() >= settledAtMs) this.#failures.settled();
      });
    } catch (error) {
      this.#failed(error);
    }
  }

  #take(change: RawChange, time: ClusterTime, reading: Reading): void {
    const { operationType } = change;
    if (operationType === "invalidate") this.#options.onEnded();
    else if (typeof operationType === "string" && !ENDING_EVENTS.includes(operationType)) {
      this.#members.take(change, time, reading);
    }
  }

  #failed(error: unknown): void {
    const { stats, log } = this.#options;
    stats.failures += 1;
    this.#reader.drop();
    const { delayMs, lostReason } = this.#failures.add(error, this.#reader.readTo);
    this.#lostReason ??= lostReason;
    const isLost = lostReason !== undefined;
    log.warn(
      { collection: this.collection.name, reason: reasonOf(error), isLost },
      "A change stream failed and is opened again",
    );
    this.#turns.plan(delayMs);
  }

  #openFailed(error: unknown): void {
    if (this.#closeReason !== undefined) return;
    // The stream before goes on, unless no other one can follow it any more.
    const canGoOn = this.#lostReason === undefined && classify(error) !== "history_lost";
    if (this.#reader.isOpen && canGoOn) return;
    if (this.#members.size > 0) this.#failed(error);
    else this.#turns.plan(0);
  }

  #planForLeft(): void {
    const leftAtMs = this.#members.earliestLeftAtMs;
    if (leftAtMs === Infinity || !this.#reader.isOpen) return;
    this.#turns.plan(Math.max(0, leftAtMs + this.#options.settings.leaveDelayMs - Date.now()));
  }
}
