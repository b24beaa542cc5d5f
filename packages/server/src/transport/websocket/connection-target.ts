import type { DeliveryTarget, EndReason, FrameWriter, Greeting } from "../../hub/delivery.ts";
import type { WebSocketConnection } from "./connection.ts";

/** Where the hub delivers one subscription: all of a connection share its socket. */
export abstract class ConnectionTarget implements DeliveryTarget {
  protected readonly connection: WebSocketConnection;
  readonly writer: FrameWriter;

  /** @throws {Error} before the handshake is answered. */
  constructor(connection: WebSocketConnection) {
    const { peer } = connection;
    if (peer === undefined) throw new Error("the handshake is not answered yet");
    this.connection = connection;
    this.writer = peer.writer;
  }

  /** @returns whether the peer keeps up after it. */
  abstract greet(greeting: Greeting): boolean;
  /** The collection exists no more. */
  protected abstract dropped(): void;
  /** The documents cannot be had. */
  protected failed?(error: Extract<EndReason, { kind: "failed" }>["error"]): void;

  end(reason: EndReason): void {
    if (reason.kind === "dropped") this.dropped();
    else if (reason.kind === "failed") this.failed?.(reason.error);
    else this.connection.close("slow_consumer", "The events were not read fast enough.");
  }
}
