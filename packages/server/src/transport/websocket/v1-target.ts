import { RealtimeError } from "@paperdb/protocol";
import type { Greeting, SnapshotTarget } from "../../hub/delivery.ts";
import type { ChannelSubscription } from "./channel-subscription.ts";
import { ConnectionTarget } from "./connection-target.ts";
import type { WebSocketConnection } from "./connection.ts";
import type { EventEncoding } from "./event-encoding.ts";
import { greetingFrames, serverFrame } from "./server-frames.ts";

/** Who has subscriptions, and ends one that cannot go on. */
export interface V1TargetOwner {
  readonly encoding: EventEncoding;
  /** Tells its client why. */
  endWith(id: string, reason: RealtimeError): void;
}

/** Where the hub delivers a subscription of `paperdb.v1`. */
export class V1Target extends ConnectionTarget {
  readonly #owner: V1TargetOwner;
  readonly #id: string;
  readonly #subscription: ChannelSubscription;

  /** @param id - the subscription's, as the client has chosen it. */
  constructor(
    connection: WebSocketConnection,
    owner: V1TargetOwner,
    id: string,
    subscription: ChannelSubscription,
  ) {
    super(connection);
    this.#owner = owner;
    this.#id = id;
    this.#subscription = subscription;
  }

  /** Made when documents are sent, which most subscriptions never ask for. */
  get snapshots(): SnapshotTarget {
    return {
      write: (documents, channel) => {
        this.writer.write(this.#owner.encoding.snapshotHead(this.#id, channel, documents));
        return this.writer.write(documents);
      },
      reset: (reason) => this.connection.answer(serverFrame({ type: "reset", id: this.#id, reason })),
    };
  }

  override greet(greeting: Greeting): boolean {
    return this.connection.answer(greetingFrames(this.#id, greeting));
  }

  protected override dropped(): void {
    const sentence = "The collection was dropped: subscribe again once it is there.";
    this.failed(new RealtimeError("collection_not_found", sentence));
  }

  protected override failed(error: RealtimeError): void {
    if (!this.#subscription.isOver) this.#owner.endWith(this.#id, error);
  }
}
