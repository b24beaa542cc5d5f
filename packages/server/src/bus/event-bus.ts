import { randomBytes } from "node:crypto";
import { isSequencePosition, sequencePosition, type Position, type TopicEvent } from "@paperdb/protocol";
import {
  TOPICS,
  type ChangeSink,
  type ChangeSource,
  type ChannelKey,
  type CollectionInfo,
  type SourceState,
} from "../source/change-source.ts";

/** The event bus's name in cursors; no database can have it. */
export const EVENT_BUS = "events";

/**
 * Application events as a source: one channel per tenant, on which topics and
 * patterns are filters. Its positions count this process's events, so cursors
 * of before a restart are reset.
 */
export class EventBus implements ChangeSource {
  readonly name = EVENT_BUS;
  readonly epoch = randomBytes(8).toString("hex");
  readonly #sink: ChangeSink;
  #sequence = 0;

  constructor(sink: ChangeSink) {
    this.#sink = sink;
  }

  /** @param event - its topic is valid, its data one line of JSON. */
  publish(tenant: string, event: TopicEvent): void | Promise<void> {
    this.#sequence += 1;
    return this.#sink.append([
      {
        channel: { tenant, collection: TOPICS },
        position: this.#position(),
        committedAtMs: Date.now(),
        body: event,
      },
    ]);
  }

  /** Events published elsewhere may have been missed: subscribers to topics are reset. */
  lost(reason: string): void {
    this.#sequence += 1;
    this.#sink.lost("all", this.#position(), reason);
  }

  state(): SourceState {
    return { live: true };
  }

  collections(): readonly CollectionInfo[] {
    return [];
  }

  isPosition(text: string): boolean {
    return isSequencePosition(text);
  }

  whyNotCollection(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  watch(_channel: ChannelKey): Promise<Position> {
    return Promise.resolve(this.#position());
  }

  unwatch(): void {
    // Every event is appended; the log keeps those of open channels.
  }

  async close(): Promise<void> {
    // Holds nothing.
  }

  #position(): Position {
    return sequencePosition(this.#sequence);
  }
}
