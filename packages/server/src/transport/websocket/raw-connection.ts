import { RealtimeError } from "@paperdb/protocol";
import type { Grant } from "../../auth/grant.ts";
import type { Greeting } from "../../hub/delivery.ts";
import type { ConnectionInfo } from "../connection-registry.ts";
import { documentScope } from "../document-scope.ts";
import { ChannelSubscription, type Channels } from "./channel-subscription.ts";
import { ConnectionTarget } from "./connection-target.ts";
import { WebSocketConnection, type ConnectionDependencies } from "./connection.ts";
import type { EventEncoding } from "./event-encoding.ts";
import type { Handshake } from "./handshake.ts";
import { Throttle, type ThrottleLimits } from "./throttle.ts";

/** What a connection needs of the rest of the server. */
export interface RawDependencies extends ConnectionDependencies {
  readonly channels: Channels;
  readonly limits: ThrottleLimits;
  readonly encoding: EventEncoding;
}

/**
 * A WebSocket without a subprotocol: it receives the changes of every
 * collection that its token grants, and nothing else.
 */
export class RawConnection extends WebSocketConnection {
  readonly #dependencies: RawDependencies;
  readonly #collections: readonly string[];
  readonly #subscriptions: readonly ChannelSubscription[];
  readonly #throttle: Throttle;

  /** @throws {RealtimeError} `forbidden`, when the token grants no collection. */
  constructor(dependencies: RawDependencies, grant: Grant, handshake: Handshake) {
    const { tenant, collections = [] } = grant;
    if (collections.length === 0) {
      throw new RealtimeError(
        "forbidden",
        'This token grants no collection, and without a subprotocol there are no topics: mint one with "collections", or use the subprotocol "paperdb.v1".',
      );
    }
    super(dependencies, grant, handshake);
    const { channels, limits } = dependencies;
    this.#dependencies = dependencies;
    this.#collections = collections;
    this.#throttle = new Throttle(limits, this);
    this.#subscriptions = collections.map(
      (collection) =>
        new ChannelSubscription(channels, {
          tenant,
          subject: { kind: "collection", collection },
          scope: documentScope(grant, collection, undefined),
        }),
    );
  }

  override async open(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.open()));
  }

  protected override get subjects(): Pick<ConnectionInfo, "collections" | "topics"> {
    return { collections: this.#collections, topics: [] };
  }

  protected override started(): void {
    const target = new RawTarget(this);
    const { raw } = this.#dependencies.encoding;
    for (const subscription of this.#subscriptions) subscription.start(target, raw);
  }

  protected override release(): void {
    this.#throttle.close();
    for (const subscription of this.#subscriptions) subscription.end();
  }

  override received(): void {
    this.close("protocol_error", 'Without the subprotocol "paperdb.v1" nothing may be sent.');
  }

  override receivedControl(): void {
    this.#throttle.take();
  }

  override drained(): void {
    for (const subscription of this.#subscriptions) subscription.resume();
  }

  override progressed(): void {
    for (const subscription of this.#subscriptions) subscription.progressed();
  }
}

/** Where the hub delivers all collections of a raw connection. */
class RawTarget extends ConnectionTarget {
  override greet({ resetReason }: Greeting): boolean {
    // There is no cursor to go on from: the client loads its data again, and is told so by the close.
    if (resetReason !== undefined) {
      this.connection.close("events_missed", "Events were missed: load the data again.");
    }
    return this.writer.keepsUp;
  }

  protected override dropped(): void {
    this.connection.close("events_missed", "A collection was dropped.");
  }
}
