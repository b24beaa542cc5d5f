import type { RealtimeError } from "@paperdb/protocol";
import type { DeliveryTarget, EndReason, Greeting, SnapshotTarget } from "../../hub/delivery.ts";
import type { WebSocketConnection } from "./connection.ts";

/** What differs between the kinds of connection. */
export interface TargetEvents {
  /** @returns whether the peer keeps up after it. */
  greet(greeting: Greeting): boolean;
  /** The collection exists no more. */
  dropped(): void;
  /** The documents cannot be had. Left out: they are never asked for. */
  failed?(error: RealtimeError): void;
}

/** Where the hub delivers one subscription: all of a connection share its socket. */
export class ConnectionTarget implements DeliveryTarget {
  readonly snapshots?: SnapshotTarget;
  readonly #connection: WebSocketConnection;
  readonly #events: TargetEvents;

  constructor(connection: WebSocketConnection, events: TargetEvents, snapshots?: SnapshotTarget) {
    if (snapshots !== undefined) this.snapshots = snapshots;
    this.#connection = connection;
    this.#events = events;
  }

  get keepsUp(): boolean {
    return this.#connection.keepsUp;
  }

  write(frames: Buffer): boolean {
    return this.#connection.write(frames);
  }

  greet(greeting: Greeting): boolean {
    return this.#events.greet(greeting);
  }

  end(reason: EndReason): void {
    if (reason.kind === "dropped") this.#events.dropped();
    else if (reason.kind === "failed") this.#events.failed?.(reason.error);
    else this.#connection.close("slow_consumer", "The events were not read fast enough.");
  }
}
