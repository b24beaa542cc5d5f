import { sequencePosition } from "@paperdb/protocol";
import type { ChangeType, Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChangeSink, ChannelKey, SourceEvent } from "../change-source.ts";
import { CONTROL_CHANNEL, PUBLISH_CHANNEL } from "./channels.ts";
import { ChunkAssembler } from "./chunk-assembler.ts";
import { documentJson } from "../document-json.ts";
import { documentsOf } from "./documents.ts";
import { NotificationQueue } from "./notification-queue.ts";
import type { Notification } from "./notification-queue.ts";
import type { NotifyBarriers } from "./notify-barriers.ts";
import type { NotifySettings } from "./settings.ts";
import type { SourceStats } from "./stats.ts";
import type { Watch, WatchedCollection, Watches } from "./watches.ts";
import { parseControlMessage, parseMessage } from "./wire.ts";
import type { CaptureMessage, Message } from "./wire.ts";

/** Where what `paperdb.publish` sends goes: the event bus. */
export interface TopicSink {
  /** A promise is back-pressure. */
  publish(tenant: string, topic: string, dataJson: string): void | Promise<void>;
  /** Published events may have been missed. */
  lost?(reason: string): void;
}

/** What a {@link Receiver} works with. */
export interface ReceiverOptions {
  readonly sink: ChangeSink;
  readonly topics: TopicSink;
  readonly watches: Watches;
  readonly barriers: NotifyBarriers;
  /** The message of an outbox row; undefined when it was swept. */
  readonly fetchOutbox: (id: string) => Promise<string | undefined>;
  readonly settings: NotifySettings;
  readonly stats: SourceStats;
  readonly log: Logger;
}

const TYPES: Readonly<Record<"i" | "u" | "d", ChangeType>> = { i: "insert", u: "update", d: "delete" };
const MESSAGE_BYTES_BESIDES_BODY = 64 * 1024;

/** Makes events of notifications, in their order, for the channels that are watched. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #chunks: ChunkAssembler;
  readonly #queue: NotificationQueue;
  #gathered: SourceEvent[] = [];
  #sequence = 0;
  /** Grows when what was received is dropped: what is being fetched then comes too late. */
  #generation = 0;
  /** Behind a gap that nobody was told of yet: what comes after it is covered by {@link recover}. */
  #isInterrupted = false;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#chunks = new ChunkAssembler(2 * options.settings.maxDocumentBytes + MESSAGE_BYTES_BESIDES_BODY);
    this.#queue = new NotificationQueue(
      options.settings.maxPendingBytes,
      (notification) => this.#handle(notification),
      () => this.#flush(),
      () => {
        this.#overflow();
      },
    );
  }

  /** The position of the newest event. */
  get position(): Position {
    return sequencePosition(this.#sequence);
  }

  get pendingBytes(): number {
    return this.#queue.waitingBytes;
  }

  push(channel: string, payload: string): void {
    this.#options.stats.notifications += 1;
    this.#queue.push({ channel, payload });
  }

  /** Tells the log that changes may have been missed, after all that was received before. */
  lost(channels: Iterable<ChannelKey> | "all", reason: string): void {
    this.advance();
    if (!this.#isInterrupted) this.#options.sink.lost(channels, this.position, reason);
  }

  /** After {@link clear}, once all is captured again: nothing of what came since was handed on, and now everybody is told. */
  recover(reason: string): void {
    this.advance();
    this.#isInterrupted = false;
    this.lost("all", reason);
    this.#options.topics.lost?.(reason);
  }

  /** The next position: a cursor of before says nothing about a channel that was not received until now. */
  advance(): void {
    void this.#flush();
    this.#sequence += 1;
  }

  /** Drops what waits, and what comes until {@link recover}. */
  clear(): void {
    this.#isInterrupted = true;
    this.#generation += 1;
    this.#queue.clear();
    this.#chunks.clear();
    this.#options.barriers.fail("The connection to the database was lost.");
  }

  #overflow(): void {
    this.#generation += 1;
    this.#chunks.clear();
    this.#options.barriers.fail("Too much is pending.");
    this.#options.log.warn(
      { maxPendingBytes: this.#options.settings.maxPendingBytes },
      "Too much is pending",
    );
    this.lost("all", "overloaded");
    if (!this.#isInterrupted) this.#options.topics.lost?.("overloaded");
  }

  #handle({ channel, payload }: Notification): void | Promise<void> {
    if (channel === this.#options.barriers.channel) return this.#passBarrier(payload);
    if (channel === CONTROL_CHANNEL) {
      this.#control(payload);
    } else if (payload.startsWith("#")) {
      this.#options.stats.chunks += 1;
      const assembled = this.#chunks.add(channel, payload);
      if (assembled === "garbage") this.#options.stats.garbage += 1;
      else if (assembled !== "incomplete") this.#deliver(channel, parseMessage(assembled.message));
    } else if (payload.startsWith("@")) {
      return this.#fetch(channel, payload.slice(1));
    } else {
      this.#deliver(channel, parseMessage(payload));
    }
    return undefined;
  }

  #passBarrier(id: string): void | Promise<void> {
    const { position } = this;
    const passed = (): void => this.#options.barriers.seen(id, position);
    const busy = this.#flush();
    return busy === undefined ? passed() : busy.then(passed);
  }

  async #fetch(channel: string, id: string): Promise<void> {
    if (!/^\d{1,19}$/.test(id)) {
      this.#options.stats.garbage += 1;
      return;
    }
    if (channel !== PUBLISH_CHANNEL && this.#options.watches.on(channel).length === 0) return;
    this.#options.stats.outboxFetches += 1;
    const generation = this.#generation;
    // What came before does not have to wait for the fetch.
    await this.#flush();
    if (generation !== this.#generation) return;
    const message = await this.#fetchMessage(id);
    if (generation !== this.#generation) return;
    if (message === undefined || !this.#deliverFetched(channel, message)) this.#lostFetch(channel);
  }

  /** The body of a message in the outbox is not checked before, so reading it may fail. */
  #deliverFetched(channel: string, message: string): boolean {
    try {
      this.#deliver(channel, parseMessage(message, true));
      return true;
    } catch {
      this.#options.stats.garbage += 1;
      return false;
    }
  }

  async #fetchMessage(id: string): Promise<string | undefined> {
    try {
      const message = await this.#options.fetchOutbox(id);
      if (message === undefined)
        this.#options.log.warn("A document was swept from the outbox before it was fetched");
      return message;
    } catch (error) {
      this.#options.log.warn({ reason: String(error) }, "Cannot fetch a document from the outbox");
      return undefined;
    }
  }

  #lostFetch(channel: string): void {
    if (channel === PUBLISH_CHANNEL) {
      if (!this.#isInterrupted) this.#options.topics.lost?.("change_too_large");
      return;
    }
    const keys = this.#options.watches.on(channel).map((watch) => watch.key);
    if (keys.length > 0) this.lost(keys, "change_too_large");
  }

  /** From now on the collection's channels have what filters need, or are reset. */
  filter(collection: string, columns: Iterable<string>): void {
    const keys = this.#options.watches.filter(collection, columns);
    if (keys.length > 0) this.lost(keys, "prior_unknown");
  }

  #control(payload: string): void {
    const message = parseControlMessage(payload);
    if (message === undefined) {
      this.#options.stats.garbage += 1;
      return;
    }
    const keys = this.#options.watches.keysOfTable(message.tableOid);
    if (keys.length > 0) {
      this.lost(keys, message.reason === "recaptured" ? "collection_changed" : message.reason);
    }
  }

  #deliver(channel: string, message: Message | undefined): void {
    if (message === undefined || (message.kind === "p") !== (channel === PUBLISH_CHANNEL)) {
      this.#options.stats.garbage += 1;
    } else if (message.kind === "p") {
      if (this.#isInterrupted) return;
      void this.#options.topics.publish(message.tenant, message.subject, documentJson(message.body));
    } else {
      this.#deliverChange(channel, message);
    }
  }

  /** The channel's name is a hash and anyone can send on it, so tenant and table are checked. */
  #deliverChange(channel: string, message: Message): void {
    const watches = this.#options.watches
      .on(channel)
      .filter(
        ({ key, collection }) => key.tenant === message.tenant && collection.table.oid === message.tableOid,
      );
    if (watches.length === 0) this.#options.stats.mismatched += 1;
    for (const watch of watches) {
      if (message.kind === "x") this.lost([watch.key], "changes_not_sent");
      else if (message.kind !== "p") this.#gather(watch, message, message.kind);
    }
  }

  #gather(watch: Watch, message: CaptureMessage, kind: "i" | "u" | "d"): void {
    const { collection } = watch;
    if (!this.#isFilterable(collection, message)) {
      this.lost([watch.key], "prior_unknown");
      return;
    }
    const documents = documentsOf(message, collection.table);
    if (documents === undefined) {
      this.lost([watch.key], "collection_changed");
      return;
    }
    this.#sequence += 1;
    this.#options.stats.changes += 1;
    this.#gathered.push({
      channel: watch.key,
      position: this.position,
      committedAtMs: message.sentAtMs,
      transaction: message.transaction,
      body: {
        type: TYPES[kind],
        documentId: message.composite ? documentJson(message.subject) : message.subject,
        ...documents,
      },
    });
  }

  /** Whether filters can be applied to it, where somebody filters. */
  #isFilterable(collection: WatchedCollection, { kind, prior }: CaptureMessage): boolean {
    const filtered = this.#options.watches.filteredColumns(collection.name);
    const isPriorUnknown = kind === "u" && prior === undefined;
    if (filtered === undefined) {
      if (isPriorUnknown) collection.hasUnknownPrior = true;
      return true;
    }
    return !isPriorUnknown && !collection.table.virtualColumns.some((column) => filtered.has(column));
  }

  #flush(): undefined | Promise<void> {
    if (this.#gathered.length === 0) return undefined;
    const events = this.#gathered;
    this.#gathered = [];
    if (this.#isInterrupted) return undefined;
    const busy = this.#options.sink.append(events);
    return busy instanceof Promise ? busy : undefined;
  }
}
