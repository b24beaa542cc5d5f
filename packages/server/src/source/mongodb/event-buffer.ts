import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, ChannelKey, SourceEvent } from "../change-source.ts";
import { reasonOf } from "./errors.ts";

/** Events taken before the log is given them, at the latest. */
const MAX_GATHERED = 512;

/** Gathers what is read in one turn of the event loop, and hands it to the log in order. */
export class EventBuffer {
  readonly #sink: ChangeSink;
  readonly #log: Logger;
  /** Events, and what to tell the log between them. */
  #waiting: (SourceEvent | (() => void))[] = [];
  #scheduled = false;
  #busy: Promise<void> | undefined;

  constructor(sink: ChangeSink, log: Logger) {
    this.#sink = sink;
    this.#log = log;
  }

  /** Whether the log has all that was pushed. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#busy === undefined;
  }

  push(event: SourceEvent): void {
    this.#add(event);
  }

  /** Changes of these channels are missing before `position`. */
  lost(keys: readonly ChannelKey[], position: Position, reason: string): void {
    if (keys.length > 0) this.#add(() => this.#sink.lost(keys, position, reason));
  }

  /** The collection exists no more. */
  dropped(collection: string, reason: string): void {
    this.#add(() => this.#sink.dropped(collection, reason));
  }

  /** Resolves when the log can take more; undefined while it can. */
  pressure(): Promise<void> | undefined {
    if (this.#waiting.length >= MAX_GATHERED) this.flush();
    return this.#busy;
  }

  /** Resolves once the log has taken all that was pushed. */
  async drain(): Promise<void> {
    this.flush();
    while (this.#busy !== undefined) await this.#busy;
  }

  /** Hands over all that the log can take. */
  flush(): void {
    while (this.#busy === undefined && this.#waiting.length > 0) {
      const [first] = this.#waiting;
      if (typeof first === "function") {
        this.#waiting.shift();
        first();
      } else {
        this.#append(this.#takeEvents());
      }
    }
  }

  #add(item: SourceEvent | (() => void)): void {
    this.#waiting.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  #takeEvents(): SourceEvent[] {
    const events: SourceEvent[] = [];
    for (const item of this.#waiting) {
      if (typeof item === "function") break;
      events.push(item);
    }
    this.#waiting = this.#waiting.slice(events.length);
    return events;
  }

  #append(events: readonly SourceEvent[]): void {
    const taken = this.#sink.append(events);
    if (!(taken instanceof Promise)) return;
    this.#busy = taken
      .catch((error: unknown) => this.#refused(events, error))
      .then(() => {
        this.#busy = undefined;
        this.flush();
      });
  }

  #refused(events: readonly SourceEvent[], error: unknown): void {
    this.#log.error({ reason: reasonOf(error) }, "The log did not take events");
    for (const { channel, position } of events) this.#sink.lost([channel], position, "log_failed");
  }
}
