import type { Position } from "@paperdb/protocol";
import type { ChannelKey, SourceEvent, SourceState } from "../../change-source.ts";
import { AcknowledgementRecord } from "./acknowledgement-record.ts";
import { STREAM_APPLICATION_NAME } from "../application-names.ts";
import { StreamReader } from "./stream-reader.ts";
import type { WalCapturer } from "./wal-capturer.ts";
import { createWalParts } from "./wal-parts.ts";
import type { WalParts, WalRunnerOptions } from "./wal-parts.ts";
import type { WalSnapshots } from "./wal-snapshots.ts";
import { WalStream } from "./wal-stream.ts";

/** Keeps changes coming from a database that was checked and set up, and knows whether they do. */
export class WalRunner {
  readonly #options: WalRunnerOptions;
  readonly #parts: WalParts;
  readonly #stream: WalStream;
  #state: SourceState = { live: false, reason: "The source is starting.", retryAfterMs: 1_000 };
  /** All that was committed before the start was read: what was published then is not published again. */
  #caughtUp = false;
  /** Whoever subscribed to topics before it was live for the first time has missed what was published. */
  #isAwaited = false;
  #onLive: () => void = () => undefined;
  /** Counts the ends of streams: what was begun for one that has ended makes nothing live. */
  #outages = 0;

  constructor(options: WalRunnerOptions) {
    this.#options = options;
    this.#parts = createWalParts(options, {
      isLive: () => this.#state.live,
      isCaughtUp: () => this.#caughtUp,
      detail: (text) => {
        this.#setDetail(text);
      },
    });
    this.#stream = this.#createStream();
  }

  get capturer(): WalCapturer {
    return this.#parts.capturer;
  }

  get snapshots(): WalSnapshots {
    return this.#parts.snapshots;
  }

  get state(): SourceState {
    return this.#state;
  }

  /** Known once it is live. */
  get epoch(): string {
    return this.#parts.history.epoch;
  }

  /** Where a channel stands that has received everything until now. */
  get position(): Position {
    void this.#parts.receiver.flush();
    return this.#parts.place.position;
  }

  /** See {@link ChangeSource.replay}. */
  replay(key: ChannelKey, since: Position, until: Position): readonly SourceEvent[] | undefined {
    const collection = this.#options.watches.get(key.collection);
    if (collection === undefined || since < collection.since) return undefined;
    return this.#parts.journal.replay(key, since, until);
  }

  /** Begins. @returns once it is live for the first time. */
  async start(): Promise<void> {
    const live = new Promise<void>((resolve) => {
      this.#onLive = resolve;
    });
    this.#stream.start();
    this.#parts.follower.follow();
    this.#parts.slotWatch.follow();
    await live;
  }

  /** The start is not waited for any longer: there may be subscribers before it is live. */
  goWithout(): void {
    this.#isAwaited = !this.#state.live;
  }

  /** Tells the database what was processed, and ends the stream; who waits for it is told. */
  async end(): Promise<void> {
    this.#state = { live: false, reason: "The server is shutting down.", retryAfterMs: 1_000 };
    this.#parts.barriers.fail(new Error("The source is closing."));
    await this.#stream.close();
  }

  /** Resolves once nothing goes on any more, after the signal. */
  async ended(): Promise<void> {
    const loops = [this.#stream.stopped(), this.#parts.follower.close(), this.#parts.slotWatch.close()];
    await Promise.all([...loops, this.#parts.capturer.settled()]);
  }

  #createStream(): WalStream {
    const { history, place, slots, tables } = this.#parts;
    const { url, publication, settings, log, signal } = this.#options;
    return new WalStream({
      url,
      slots,
      settings,
      log,
      signal,
      applicationName: STREAM_APPLICATION_NAME,
      publication: publication.name,
      prepare: async () => {
        await publication.ensure();
      },
      reachedLsn: () => place.processedLsn,
      onSlot: async (slot) => {
        if (history.begin(slot)) await tables.restore();
        const { confirmedLsn, clockAheadMs } = slot;
        const acknowledgement = new AcknowledgementRecord(
          this.#parts.acknowledgement,
          slots,
          log,
          confirmedLsn,
        );
        const handler = this.#createReader(acknowledgement, clockAheadMs);
        return { from: place.processedLsn, handler };
      },
      onStreaming: () => this.#catchUp(),
      onDown: (reason, expected) => {
        this.#down(reason, expected);
      },
    });
  }

  #createReader(acknowledgement: AcknowledgementRecord, clockAheadMs: number): StreamReader {
    const { database, settings, topics, stats, log } = this.#options;
    return new StreamReader({
      ...this.#parts,
      acknowledgement,
      clockAheadMs,
      database,
      settings,
      topics,
      stats,
      log,
      isCaughtUp: () => this.#caughtUp,
      mayPublish: () => this.#caughtUp && this.#parts.history.lostReason === undefined && !this.#isAwaited,
      onBarrier: () => {
        this.#caughtUp = true;
      },
    });
  }

  /** Live is who has read all that was committed before; the catalog may have changed meanwhile. */
  async #catchUp(): Promise<void> {
    const { log, settings, signal, topics } = this.#options;
    const outage = this.#outages;
    this.#setWaiting("The source reads what was committed meanwhile.", settings.minReconnectMs);
    this.#parts.capturer.forgetAll();
    await this.#parts.barriers.pass();
    await this.#parts.follower.reconcile();
    if (signal.aborted || outage !== this.#outages) return;
    this.#state = { live: true };
    const reason = this.#parts.history.lostReason;
    this.#parts.history.recovered();
    if (reason !== undefined) this.#parts.receiver.recover(reason);
    if (reason !== undefined || this.#isAwaited) topics.lost?.(reason ?? "source_reconnected");
    this.#isAwaited = false;
    log.info("The source is live");
    this.#onLive();
  }

  #down(reason: string, expected: boolean): void {
    const { log, settings, database } = this.#options;
    this.#outages += 1;
    if (this.#state.live) log.warn({ reason }, "The source is not live any more");
    this.#setWaiting(reason, expected ? settings.slotRetryMs : settings.maxReconnectMs);
    this.#parts.barriers.fail(new Error(reason));
    if (!expected) database.reset();
  }

  #setWaiting(reason: string, retryAfterMs: number): void {
    this.#state = { live: false, reason, retryAfterMs };
  }

  #setDetail(detail: string | undefined): void {
    if (!this.#state.live) return;
    this.#state = detail === undefined ? { live: true } : { live: true, detail };
  }
}
