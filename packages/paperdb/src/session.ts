import type { ClientMessage, EventMessage, ServerMessage, SnapshotMessage } from "@paperdb/protocol";
import type { AnyDocument, AnyEvent } from "./listener.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { Sent, Subscription } from "./subscription.ts";

/** What the server sends. */
export type ReceivedMessage =
  | Exclude<ServerMessage, EventMessage | SnapshotMessage>
  | (Omit<EventMessage, "event"> & { readonly event: AnyEvent })
  | (Omit<SnapshotMessage, "documents"> & { readonly documents: readonly AnyDocument[] });

/** The server refused something; a subscription that it names is off this connection. */
export type RefusalListener = (error: PaperDBError, subscription: Subscription | undefined) => void;

/** What is subscribed to on one open socket, and under which names. */
export class Session {
  /** Whether anything was live. */
  hasBeenReady = false;
  readonly #send: (text: string) => void;
  readonly #onRefusal: RefusalListener;
  readonly #byId = new Map<string, Subscription>();
  readonly #byChannel = new Map<string, Subscription>();
  #lastId = 0;

  constructor(send: (text: string) => void, onRefusal: RefusalListener) {
    this.#send = send;
    this.#onRefusal = onRefusal;
  }

  subscribe(subscription: Subscription): void {
    this.#lastId += 1;
    const id = String(this.#lastId);
    this.#byId.set(id, subscription);
    this.send(subscription.request(id));
  }

  /** Unsubscribes what is not wanted any more, and what went back to an earlier place. */
  prune(wanted: readonly Subscription[]): void {
    for (const [id, subscription] of this.#byId) {
      if (wanted.includes(subscription) && !subscription.isRewound) continue;
      this.#remove(subscription);
      this.send({ type: "unsubscribe", id });
    }
  }

  send(message: Sent<ClientMessage>): void {
    this.#send(JSON.stringify(message));
  }

  receive(message: ReceivedMessage & { readonly id?: string }): void {
    const known = this.#byId.get(message.id ?? "");
    switch (message.type) {
      case "ready":
        if (known === undefined) break;
        this.hasBeenReady = true;
        this.#name(known, message.channel);
        known.ready(message.cursor, message.resumed);
        break;
      case "snapshot":
        if (known === undefined) break;
        this.#name(known, message.channel);
        known.takeDocuments(message.documentIds, message.documents);
        break;
      case "event":
        this.#byChannel.get(message.channel)?.take(message.event, message.cursor);
        break;
      case "reset":
        known?.reset(message.reason);
        break;
      case "error":
        // An id that is not known any more was unsubscribed.
        if (message.id !== undefined && known === undefined) break;
        if (known !== undefined) this.#remove(known).disconnect();
        this.#onRefusal(new PaperDBError(message.code, message.message, message), known);
        break;
      case "heartbeat":
        for (const [channel, cursor] of Object.entries(message.cursors)) {
          this.#byChannel.get(channel)?.advance(cursor);
        }
        break;
      default: // What a newer server sends besides.
    }
  }

  /** The socket is gone. */
  end(): void {
    for (const subscription of this.#byId.values()) subscription.disconnect();
  }

  /** The server may change its name for what is subscribed to. */
  #name(subscription: Subscription, channel: string): void {
    this.#byChannel.delete(subscription.channel ?? "");
    this.#byChannel.set(channel, subscription);
    subscription.channel = channel;
  }

  #remove(subscription: Subscription): Subscription {
    this.#byId.delete(subscription.id ?? "");
    this.#byChannel.delete(subscription.channel ?? "");
    subscription.leave();
    return subscription;
  }
}
