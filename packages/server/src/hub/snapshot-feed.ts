import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { RealtimeError } from "@paperdb/protocol";
import type { SnapshotSeam } from "../source/change-source.ts";
import type { SnapshotReading } from "../snapshot/snapshot-reading.ts";
import { SnapshotTimeoutError } from "../snapshot/snapshot-reading.ts";
import type { SnapshotFrames, SnapshotTarget } from "./delivery.ts";
import { Round } from "./round.ts";
import { placeAfter, reachesBack } from "./seam-place.ts";
import {
  OvertakenSnapshotError,
  resetReasonOf,
  SnapshotAttempts,
  VoidSnapshotError,
} from "./snapshot-attempts.ts";
import type { Subscription } from "./subscription.ts";

/** A snapshot that is about to be sent. */
export interface OpenSnapshot {
  readonly reading: SnapshotReading;
  /** The history's, before it was taken: after a reset it is void. */
  readonly generation: number;
}

/** What a {@link SnapshotFeed} works with. */
export interface SnapshotFeedOptions {
  readonly subscription: Subscription;
  readonly frames: SnapshotFrames;
  /** Of the subscription's target. */
  readonly output: SnapshotTarget;
  readonly maxSliceBytes: number;
  /** Of a {@link Round}. */
  readonly maxSharedBytes: number;
  /** @param alone - the one before held up others. */
  readonly open: (alone: boolean, signal: AbortSignal) => Promise<OpenSnapshot>;
  readonly observer: SnapshotFeedObserver;
}

/** What a {@link SnapshotFeed} tells about its work. */
interface SnapshotFeedObserver {
  /** `count` events were written. */
  delivered(count: number): void;
  /** The peer does not keep up any more. */
  blocked(): void;
  /** What was sent is void, and it begins again. */
  reset(reason: string): void;
  /** The subscription has its place, and was greeted. */
  live(keepsUp: boolean): void;
  /** The peer takes too long. */
  slow(): void;
  failed(error: RealtimeError): void;
}

/** Events that are looked at between two looks at the event loop. */
const EVENTS_PER_TURN = 256;

/**
 * Brings one subscription to its place: sends the documents of a snapshot as its peer takes them, then the changes that
 * the snapshot did not see, and greets. What is lost meanwhile makes it begin again.
 */
export class SnapshotFeed {
  readonly #options: SnapshotFeedOptions;
  readonly #closing = new AbortController();
  #wake: () => void = () => undefined;
  /** Whether the client holds something that a further attempt would make void. */
  #hasSent = false;

  constructor(options: SnapshotFeedOptions) {
    this.#options = options;
  }

  /** @param opened - what the first attempt sends. */
  async run(opened?: OpenSnapshot): Promise<void> {
    const { observer, subscription } = this.#options;
    const { signal } = this.#closing;
    let next = opened;
    const attempts = new SnapshotAttempts(subscription.channel.key.collection);
    while (!signal.aborted) {
      try {
        const snapshot = next ?? (await this.#options.open(attempts.heldUpOthers, signal));
        next = undefined;
        await this.#send(snapshot);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SnapshotTimeoutError && subscription.blockedSinceMs !== undefined)
          return observer.slow();
        const failure = attempts.failed(error);
        if (failure !== undefined) return observer.failed(failure);
        // Only the end of the subscription ends the waiting for its peer.
        await this.#reset(resetReasonOf(error)).catch(() => undefined);
      }
      await sleep(attempts.pauseMs, undefined, { signal }).catch(() => undefined);
    }
    next?.reading.close();
  }

  /** The peer keeps up again. */
  wake(): void {
    this.#wake();
  }

  /** The subscription is over. */
  close(): void {
    this.#closing.abort(new Error("The subscription is over."));
    this.#wake();
  }

  async #send({ reading, generation }: OpenSnapshot): Promise<void> {
    const close = (): void => reading.close();
    this.#closing.signal.addEventListener("abort", close, { once: true });
    reading.signal.addEventListener("abort", this.#wakeNow, { once: true });
    try {
      this.#requireCurrent(generation);
      // What was streamed before the channel was watched, and is not visible yet, will be in a moment.
      if (!reachesBack(this.#options.subscription.channel.history, reading.since))
        throw new VoidSnapshotError("history_too_short");
      await this.#sendDocuments(reading, generation);
      await this.#sendUnseen(reading, await reading.seam(), generation);
    } finally {
      this.#closing.signal.removeEventListener("abort", close);
      reading.close();
    }
  }

  readonly #wakeNow = (): void => {
    this.#wake();
  };

  async #sendDocuments(reading: SnapshotReading, generation: number): Promise<void> {
    const { frames, output } = this.#options;
    const { view, channel } = this.#options.subscription;
    let isFirst = true;
    for (;;) {
      const batch = await reading.next();
      this.#requireCurrent(generation);
      if (!reachesBack(channel.history, reading.since)) throw new OvertakenSnapshotError();
      if (batch === undefined) break;
      const { frame, count } = view.snapshotFrame(batch, frames);
      if (count === 0) continue;
      isFirst = false;
      await this.#write(() => output.write(frame, view.name), reading);
    }
    if (isFirst) await this.#write(() => output.write(frames.documents([]), view.name), reading);
  }

  async #sendUnseen(reading: SnapshotReading, seam: SnapshotSeam, generation: number): Promise<void> {
    const { subscription, observer } = this.#options;
    const { target, writer, view, channel } = subscription;
    this.#requireCurrent(generation);
    let place = placeAfter(channel.history, reading.since);
    for (;;) {
      await this.#drained(reading.signal);
      this.#requireCurrent(generation);
      if (place === undefined || place < channel.history.firstIndex) throw new OvertakenSnapshotError();
      const { written, count, nextIndex, isAll } = this.#unseenFrom(place, seam);
      place = nextIndex;
      if (written !== undefined) {
        await this.#write(() => writer.write(written), reading);
        observer.delivered(count);
      } else if (!isAll) await nextTurn();
      // Nothing may come in between once all is written, so the place is looked at again if something was.
      if (isAll && written === undefined) break;
    }
    subscription.generation = generation;
    subscription.moveTo(place);
    const greeting = {
      channel: view.name,
      cursor: view.cursorAt(place),
      resumed: false,
      resetReason: undefined,
    };
    observer.live(target.greet(greeting));
  }

  /** The next of the events before the seam that the snapshot did not see, as one write. */
  #unseenFrom(
    from: number,
    seam: SnapshotSeam,
  ): { written: Buffer | undefined; count: number; nextIndex: number; isAll: boolean } {
    const { subscription, frames, maxSliceBytes, maxSharedBytes } = this.#options;
    const { view, channel } = subscription;
    const { history } = channel;
    const round = new Round(maxSharedBytes);
    const events: Buffer[] = [];
    let bytes = 0;
    let index = from;
    let isAll = false;
    while (bytes < maxSliceBytes && index - from < EVENTS_PER_TURN) {
      const event = index < history.headIndex ? history.entryAt(index).event : undefined;
      isAll = event === undefined || event.position > seam.position;
      if (event === undefined || isAll) break;
      const frame = seam.saw(event) ? undefined : view.snapshotEvent(index, round, frames);
      if (frame !== undefined) {
        events.push(frame);
        bytes += frame.length;
      }
      index += 1;
    }
    const written = events.length === 0 ? undefined : Buffer.concat(events, bytes);
    return { written, count: events.length, nextIndex: index, isAll };
  }

  /** Writes, and waits until the peer has taken it, so that no more is read than it takes. */
  async #write(write: () => boolean, reading: SnapshotReading): Promise<void> {
    await this.#drained(reading.signal);
    this.#hasSent = true;
    if (!write()) await this.#drained(reading.signal);
  }

  /** Resolves once the peer keeps up: at once, or as soon as it does. */
  async #drained(signal: AbortSignal): Promise<void> {
    const { subscription, observer } = this.#options;
    while (!subscription.writer.keepsUp) {
      this.#closing.signal.throwIfAborted();
      signal.throwIfAborted();
      if (subscription.blockedSinceMs === undefined) observer.blocked();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#closing.signal.throwIfAborted();
  }

  #requireCurrent(generation: number): void {
    this.#closing.signal.throwIfAborted();
    const { history } = this.#options.subscription.channel;
    if (history.generation !== generation) throw new VoidSnapshotError(history.resetReason);
  }

  async #reset(reason: string): Promise<void> {
    if (!this.#hasSent) return;
    await this.#drained(this.#closing.signal);
    this.#hasSent = false;
    this.#options.observer.reset(reason);
    this.#options.output.reset(reason);
  }
}
