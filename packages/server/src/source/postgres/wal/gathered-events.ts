import type { ChannelKey } from "../../change-source.ts";
import type { DocumentEvent } from "./event-bytes.ts";

/** So many events of one channel: about as much as goes to a client in one write. */
const MAX_EVENTS_OF_CHANNEL = 128;
const MAX_EVENTS = 1_024;
const MAX_CHARACTERS = 256 * 1024;

/** A channel that is watched. */
export class WatchedChannel implements ChannelKey {
  readonly tenant: string;
  readonly collection: string;
  #batch = -1;
  #events = 0;

  constructor({ tenant, collection }: ChannelKey) {
    this.tenant = tenant;
    this.collection = collection;
  }

  /** One more event of it is in the batch of this number. @returns how many are. */
  join(batch: number): number {
    if (batch !== this.#batch) this.#events = 0;
    this.#batch = batch;
    this.#events += 1;
    return this.#events;
  }
}

/** Events that are handed on together, in batches. */
export class GatheredEvents {
  #events: DocumentEvent[] = [];
  #characters = 0;
  #batch = 0;
  #isFull = false;

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  /** Whether the batch does not wait for more. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** @param channel - the event's. */
  add(event: DocumentEvent, channel: WatchedChannel): void {
    this.#events.push(event);
    this.#characters += event.body.document.length + (event.body.prior?.length ?? 0);
    this.#isFull ||=
      channel.join(this.#batch) >= MAX_EVENTS_OF_CHANNEL ||
      this.#events.length >= MAX_EVENTS ||
      this.#characters >= MAX_CHARACTERS;
  }

  /** Ends the batch. */
  take(): readonly DocumentEvent[] {
    const events = this.#events;
    this.#events = [];
    this.#characters = 0;
    this.#batch += 1;
    this.#isFull = false;
    return events;
  }
}
