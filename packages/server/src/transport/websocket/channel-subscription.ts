import type { Channel } from "../../hub/channel.ts";
import type { DeliveryTarget, FrameFormat } from "../../hub/delivery.ts";
import type { Hub } from "../../hub/hub.ts";
import type { Subscription } from "../../hub/subscription.ts";
import { topicFilter } from "../../hub/topic-filter.ts";
import { TOPICS, type ChangeSource } from "../../source/change-source.ts";
import type { SourceDirectory } from "../../source/source-directory.ts";
import type { DocumentScope } from "../document-scope.ts";
import { openCollection } from "../open-collection.ts";
import type { Subject } from "./subject.ts";

/** Where channels come from. */
export interface Channels {
  readonly hub: Hub;
  readonly directory: SourceDirectory;
  /** The event bus, which topics come from. */
  readonly bus: ChangeSource;
}

/** What a client wants of one tenant, and where it stands. */
export interface ChannelRequest {
  readonly tenant: string;
  readonly subject: Subject;
  /** Which documents of the collection; undefined: all. */
  readonly scope?: DocumentScope | undefined;
  readonly cursor?: string | undefined;
  /** Why what the client holds is void, whatever its cursor. */
  readonly resetReason?: string | undefined;
}

/** One subscription of a connection, from the request to its end, which may come at any moment. */
export class ChannelSubscription {
  readonly #channels: Channels;
  readonly #request: ChannelRequest;
  /** Held between {@link open} and {@link start}. */
  #held: Channel | undefined;
  #live: Subscription | undefined;
  #isOver = false;

  constructor(channels: Channels, request: ChannelRequest) {
    this.#channels = channels;
    this.#request = request;
  }

  get subject(): Subject {
    return this.#request.subject;
  }

  /** What the client has asked for. */
  get request(): ChannelRequest {
    return this.#request;
  }

  /** Whether events arrive. */
  get isLive(): boolean {
    return this.#live !== undefined && !this.#isOver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Makes the channel live.
   *
   * @throws {RealtimeError} `collection_not_found`, `source_unavailable` and what else the source says.
   */
  async open(): Promise<void> {
    const channel = await this.#openChannel();
    if (this.#isOver) this.#channels.hub.release(channel);
    else this.#held = channel;
  }

  /** Begins to deliver; after {@link open}. */
  start(target: DeliveryTarget, format: FrameFormat): void {
    const channel = this.#held;
    if (channel === undefined) return;
    this.#held = undefined;
    const { subject, scope, cursor, resetReason } = this.#request;
    const { hub } = this.#channels;
    const filter = subject.kind === "topic" ? topicFilter(subject.pattern) : scope?.filter;
    this.#live = hub.subscribe(channel, { target, format, filter, cursor, resetReason });
    // The greeting may have ended the connection.
    if (this.#isOver) hub.unsubscribe(this.#live);
  }

  /** The peer keeps up again. */
  resume(): void {
    if (this.#live !== undefined) this.#channels.hub.resume(this.#live);
  }

  /** The peer reads, but does not keep up yet. */
  progressed(): void {
    if (this.#live !== undefined) this.#channels.hub.progressed(this.#live);
  }

  /** Nothing of it is delivered any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { hub } = this.#channels;
    if (this.#held !== undefined) hub.release(this.#held);
    if (this.#live !== undefined) hub.unsubscribe(this.#live);
  }

  #openChannel(): Promise<Channel> {
    const { hub, bus } = this.#channels;
    const { tenant, subject, scope, cursor } = this.#request;
    if (subject.kind === "topic") return hub.open(bus, { tenant, collection: TOPICS }, cursor);
    const channel = { tenant, collection: subject.collection };
    return openCollection(this.#channels, { channel, scope, cursor });
  }
}
