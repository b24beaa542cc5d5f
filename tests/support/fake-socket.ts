import type { ClientMessage, ServerMessage, SubscribeMessage } from "@paperdb/protocol";
import type { SocketHandlers } from "../../packages/paperdb/src/socket.ts";
import type { FakeDatabase } from "./fake-database.ts";

const DOCUMENTS_PER_BATCH = 2;
/** So many of the last events a snapshot does not see. */
const UNSEEN_EVENTS = 2;

/** The server's side of a connection: a correct one, whose frames arrive when the test says so. */
export class FakeSocket {
  isOpen = false;
  isClosed = false;
  readonly received: ClientMessage[] = [];
  readonly #handlers: SocketHandlers;
  readonly #database: FakeDatabase;
  readonly #requests = new Map<string, SubscribeMessage>();
  /** Of each collection: another one each time that it begins. */
  readonly #channels = new Map<string, string>();
  #inFlight: ServerMessage[] = [];

  constructor(handlers: SocketHandlers, database: FakeDatabase) {
    this.#handlers = handlers;
    this.#database = database;
  }

  /** Ids of the subscriptions, each with its collection. */
  get subscriptions(): [id: string, name: string][] {
    return Array.from(this.#requests, ([id, { collection = "" }]) => [id, collection]);
  }

  open(): void {
    this.isOpen = true;
    this.#handlers.onOpen();
  }

  closeByServer(code: number): void {
    this.isClosed = true;
    this.#handlers.onClose({ code, reason: "" });
  }

  /** What the client sends. */
  take(message: ClientMessage): void {
    if (!this.isOpen || this.isClosed) throw new Error("sent on a socket that is not open");
    this.received.push(message);
    if (message.type === "unsubscribe") this.#requests.delete(message.id);
    if (message.type === "subscribe") this.#subscribe(message);
  }

  /** An event has come. */
  publish(name: string): void {
    if (this.subscriptions.some(([, subscribed]) => subscribed === name)) {
      this.#sendEventsAfter(name, this.#database.length(name) - 1);
    }
  }

  /** Ends a subscription, as the server does with one that is refused; what was on its way is not sent. */
  refuse(
    id: string,
    code: "forbidden" | "source_unavailable" | "collection_not_found" | "snapshot_not_supported",
  ): void {
    this.#requests.delete(id);
    this.#inFlight = this.#inFlight.filter((frame) => !("id" in frame) || frame.id !== id);
    this.#inFlight.push({
      type: "error",
      id,
      code,
      message: "refused",
      retryable: code === "source_unavailable",
    });
  }

  /** Events may have been missed, from the server's point of view. */
  reset(id: string): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    this.#inFlight.push({ type: "reset", id, reason: "test" });
    const { collection = "" } = request;
    this.#channels.set(collection, `${this.#channelOf(collection)}, reset`);
    this.#begin(request);
  }

  /** Refuses something that is no subscription. */
  complain(code: "invalid_request", message: string): void {
    this.#inFlight.push({ type: "error", code, message, retryable: false });
  }

  /** Sends what is no message. */
  garble(text: string): void {
    this.#handlers.onMessage({ data: text });
  }

  heartbeat(): void {
    const cursors = this.subscriptions.map(([, name]) => [
      this.#channelOf(name),
      this.#database.cursorAt(this.#database.length(name)),
    ]);
    this.#inFlight.push({ type: "heartbeat", cursors: Object.fromEntries(cursors) });
  }

  /** Lets the first of the frames on their way arrive, or all. */
  deliver(count = Infinity): void {
    for (let left = count; left > 0 && !this.isClosed; left -= 1) {
      const frame = this.#inFlight.shift();
      if (frame === undefined) return;
      this.#handlers.onMessage({ data: JSON.stringify(frame) });
    }
  }

  #subscribe(request: SubscribeMessage): void {
    const { id, collection: name = "", cursor } = request;
    const twin = Array.from(this.#requests.values()).find(({ collection }) => collection === name);
    if (twin !== undefined) {
      this.#refuseDuplicate(request, twin);
      return;
    }
    this.#requests.set(id, request);
    this.#channels.set(name, `${name} of ${id}`);
    const from = this.#database.sequenceOf(cursor);
    if (from === undefined) this.#begin(request);
    else {
      this.#ready(request, from, true);
      this.#sendEventsAfter(name, from);
    }
  }

  /** It takes all filters of a collection for the same. */
  #refuseDuplicate({ id, where }: SubscribeMessage, twin: SubscribeMessage): void {
    if (JSON.stringify(where) === JSON.stringify(twin.where)) throw new Error("duplicate subscription");
    const message = `subscribed already, by the id "${twin.id}"`;
    this.#inFlight.push({ type: "error", id, code: "duplicate_subscription", message, retryable: false });
  }

  /** Not from a cursor: with documents first, where they are wanted. */
  #begin(request: SubscribeMessage): void {
    const { id, collection: name = "", snapshot } = request;
    const head = this.#database.length(name);
    if (snapshot === true) {
      const seen = Math.max(0, head - UNSEEN_EVENTS);
      const entries = [...this.#database.documentsAt(name, seen)];
      do {
        const batch = entries.splice(0, DOCUMENTS_PER_BATCH);
        this.#inFlight.push({
          type: "snapshot",
          id,
          channel: this.#channelOf(name),
          documentIds: batch.map(([documentId]) => documentId),
          documents: batch.map(([, document]) => document),
        });
      } while (entries.length > 0);
      for (const event of this.#database.eventsAfter(name, seen)) {
        this.#inFlight.push({ type: "event", channel: this.#channelOf(name), event });
      }
    }
    this.#ready(request, head, false);
  }

  #ready({ id, collection: name = "" }: SubscribeMessage, sequence: number, resumed: boolean): void {
    const cursor = this.#database.cursorAt(sequence);
    this.#inFlight.push({ type: "ready", id, channel: this.#channelOf(name), cursor, resumed });
  }

  #sendEventsAfter(name: string, sequence: number): void {
    for (const [index, event] of this.#database.eventsAfter(name, sequence).entries()) {
      const cursor = this.#database.cursorAt(sequence + index + 1);
      this.#inFlight.push({ type: "event", channel: this.#channelOf(name), cursor, event });
    }
  }

  #channelOf(name: string): string {
    return this.#channels.get(name) ?? "";
  }
}
