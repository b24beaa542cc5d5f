import type { SourceEvent } from "../source/change-source.ts";

/** What the hub tells telemetry. Called on the hot path: count, and return. */
export interface HubObserver {
  /** `count` events were written, to one subscription or several. */
  delivered(source: string, collection: string, count: number): void;
  /** An event was offered to all subscriptions of its channel. */
  offered(event: SourceEvent): void;
  /** One subscription was reset. */
  reset(reason: string): void;
  /** One subscription was ended because its peer did not read. */
  slowConsumer(): void;
}
