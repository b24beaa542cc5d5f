import type { DeliveryTarget, FrameFormat } from "../../hub/delivery.ts";
import type { Hub } from "../../hub/hub.ts";
import type { Subscription } from "../../hub/subscription.ts";
import type { ChangeSource } from "../../source/change-source.ts";
import type { SourceDirectory } from "../../source/source-directory.ts";
import { isOfGrant, type DocumentScope } from "../document-scope.ts";
import { openCollection, type OpenCollection } from "../open-collection.ts";
import { openTopic } from "../open-topic.ts";
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
  /** Whether the documents are wanted first. */
  readonly snapshot?: boolean | undefined;
  /** Why what the client holds is void, whatever its cursor. */
  readonly resetReason?: string | undefined;
}

/** Where a subscription is in its life; a hold on its channel is given back exactly once. */
type State =
  | { readonly kind: "opening" }
  | { readonly kind: "held"; readonly open: OpenCollection }
  /** The hold is the hub's subscription now, which is being greeted. */
  | { readonly kind: "starting" }
  | { readonly kind: "live"; readonly subscription: Subscription }
  | { readonly kind: "over" };

/** No cursor of ours is as long: what is longer is not worth keeping. */
const MAX_CURSOR_LENGTH = 512;
const UNUSABLE_CURSOR = "";

/** Under another grant the client held other documents than it is to hold now. */
function judged(request: ChannelRequest): ChannelRequest {
  const { cursor, scope, subject } = request;
  if (cursor === undefined) return request;
  if (cursor.length > MAX_CURSOR_LENGTH) return { ...request, cursor: UNUSABLE_CURSOR };
  if (subject.kind === "topic" || isOfGrant(cursor, scope)) return request;
  return { ...request, cursor: undefined, resetReason: request.resetReason ?? "grant_changed" };
}

/** One subscription of a connection, from the request to its end, which may come at any moment. */
export class ChannelSubscription {
  readonly #channels: Channels;
  #request: ChannelRequest;
  #state: State = { kind: "opening" };
  /** While documents are opened, which takes long. */
  #opening: AbortController | undefined;

  constructor(channels: Channels, request: ChannelRequest) {
    this.#channels = channels;
    this.#request = judged(request);
  }

  get subject(): Subject {
    return this.#request.subject;
  }

  /** What the client has asked for; without its cursor once events arrive. */
  get request(): ChannelRequest {
    return this.#request;
  }

  /** Whether events arrive. */
  get isLive(): boolean {
    return this.#state.kind === "live";
  }

  /** Whether its client is told now and then where it stands: not while documents are sent, or waited for. */
  get hasHeartbeats(): boolean {
    return this.#state.kind === "live" && this.#state.subscription.feed === undefined;
  }

  get isOver(): boolean {
    return this.#state.kind === "over";
  }

  /**
   * Makes the channel live. Called once.
   *
   * @throws {RealtimeError} `collection_not_found`, `source_unavailable` and what else the source says.
   */
  async open(): Promise<void> {
    const open = await this.#open();
    if (this.isOver) this.#giveBack(open);
    else this.#state = { kind: "held", open };
  }

  /** Begins to deliver; after {@link open}. */
  start(target: DeliveryTarget, format: FrameFormat): void {
    if (this.#state.kind !== "held") return;
    const { channel, filter, opened } = this.#state.open;
    const { hub } = this.#channels;
    const { cursor, snapshot, resetReason } = this.#request;
    this.#forgetCursor();
    this.#state = { kind: "starting" };
    const request = { target, format, filter, cursor, snapshot, opened, resetReason };
    const subscription = hub.subscribe(channel, request);
    // The greeting may have ended the connection.
    if (this.isOver) hub.unsubscribe(subscription);
    else this.#state = { kind: "live", subscription };
  }

  /** The peer keeps up again. */
  resume(): void {
    if (this.#state.kind === "live") this.#channels.hub.resume(this.#state.subscription);
  }

  /** The peer reads, but does not keep up yet. */
  progressed(): void {
    if (this.#state.kind === "live") this.#channels.hub.progressed(this.#state.subscription);
  }

  /** Nothing of it is delivered any more. */
  end(): void {
    const state = this.#state;
    const { hub } = this.#channels;
    this.#state = { kind: "over" };
    this.#forgetCursor();
    this.#opening?.abort(new Error("The subscription is over."));
    if (state.kind === "held") this.#giveBack(state.open);
    else if (state.kind === "live") hub.unsubscribe(state.subscription);
  }

  /** It is of no use to a subscription that has begun or is over. */
  #forgetCursor(): void {
    if (this.#request.cursor !== undefined) this.#request = { ...this.#request, cursor: undefined };
  }

  #giveBack({ channel, opened }: OpenCollection): void {
    opened?.reading.close();
    this.#channels.hub.release(channel);
  }

  async #open(): Promise<OpenCollection> {
    const { tenant, subject, scope, snapshot = false, resetReason } = this.#request;
    const cursor = resetReason === undefined ? this.#request.cursor : undefined;
    if (subject.kind === "topic")
      return openTopic(this.#channels, { tenant, pattern: subject.pattern, cursor });
    const channel = { tenant, collection: subject.collection };
    const request = { channel, scope, cursor, snapshot };
    if (!snapshot) return openCollection(this.#channels, request);
    this.#opening = new AbortController();
    try {
      return await openCollection(this.#channels, request, this.#opening.signal);
    } finally {
      this.#opening = undefined;
    }
  }
}
