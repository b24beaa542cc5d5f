import type { ClientMessage, ServerMessage } from "@paperdb/protocol";
import { PaperDBError } from "../../packages/paperdb/src/paperdb-error.ts";
import type { Platform } from "../../packages/paperdb/src/platform.ts";
import type { SocketHandlers } from "../../packages/paperdb/src/socket.ts";
import type { Target } from "../../packages/paperdb/src/subscription.ts";
import type { FetchedToken } from "../../packages/paperdb/src/token-source.ts";

/** A request for a token that was not answered yet. */
export interface PendingToken {
  readonly targets: readonly Target[];
  resolve(fetched: FetchedToken): void;
  reject(error: PaperDBError): void;
}

/** What happens on each collection, from the first event on. */
export class FakeDatabase {
  /** Whether the server can go on at a cursor. */
  hasHistory = true;
  readonly #logs = new Map<string, number>();

  /** How many events there were. */
  length(name: string): number {
    return this.#logs.get(name) ?? 0;
  }

  append(name: string): number {
    const next = this.length(name) + 1;
    this.#logs.set(name, next);
    return next;
  }
}

/** The server's side of a connection: a correct one, whose frames arrive when the test says so. */
export class FakeSocket {
  isOpen = false;
  isClosed = false;
  readonly received: ClientMessage[] = [];
  readonly #handlers: SocketHandlers;
  readonly #database: FakeDatabase;
  readonly #names = new Map<string, string>();
  #inFlight: ServerMessage[] = [];

  constructor(handlers: SocketHandlers, database: FakeDatabase) {
    this.#handlers = handlers;
    this.#database = database;
  }

  /** Ids of the subscriptions, each with its collection. */
  get subscriptions(): [id: string, name: string][] {
    return [...this.#names];
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
    if (message.type === "unsubscribe") this.#names.delete(message.id);
    if (message.type === "subscribe") this.#subscribe(message.id, message.collection ?? "", message.cursor);
  }

  publish(name: string, sequence: number): void {
    if (this.subscriptions.some(([, subscribed]) => subscribed === name)) this.#sendEvent(name, sequence);
  }

  /** Ends a subscription, as the server does with one that is refused; what was on its way is not sent. */
  refuse(id: string, code: "forbidden" | "source_unavailable" | "collection_not_found"): void {
    this.#names.delete(id);
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
  reset(id: string, name: string): void {
    this.#inFlight.push({ type: "reset", id, reason: "test" });
    this.#ready(id, name, this.#database.length(name), false);
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
    const cursors = this.subscriptions.map(([, name]) => [name, String(this.#database.length(name))]);
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

  #subscribe(id: string, name: string, cursor: string | undefined): void {
    if ([...this.#names.values()].includes(name)) throw new Error("duplicate subscription");
    this.#names.set(id, name);
    const head = this.#database.length(name);
    const isResumed = cursor !== undefined && this.#database.hasHistory;
    const from = isResumed ? Number(cursor) : head;
    this.#ready(id, name, from, isResumed);
    for (let sequence = from + 1; sequence <= head; sequence += 1) this.#sendEvent(name, sequence);
  }

  #ready(id: string, name: string, cursor: number, resumed: boolean): void {
    this.#inFlight.push({ type: "ready", id, channel: name, cursor: String(cursor), resumed });
  }

  #sendEvent(name: string, sequence: number): void {
    this.#inFlight.push({
      type: "event",
      channel: name,
      cursor: String(sequence),
      event: { type: "insert", collection: name, documentId: String(sequence), data: { sequence } },
    });
  }
}

/** A world for a connection, in which things happen when the test says so. */
export class SdkWorld {
  nowMs = 1_000_000;
  readonly database = new FakeDatabase();
  readonly tokens: PendingToken[] = [];
  /** Opening, or open. */
  sockets: FakeSocket[] = [];
  readonly timers = new Map<() => void, number>();
  readonly wakeListeners = new Set<() => void>();
  /** Sockets and token requests there have ever been. */
  opened = 0;
  fetched = 0;

  readonly platform: Platform = {
    now: () => this.nowMs,
    random: () => 0.5,
    after: (ms, callback) => {
      const fire = (): void => callback();
      this.timers.set(fire, this.nowMs + ms);
      return () => this.timers.delete(fire);
    },
    fetchToken: (targets, signal) => {
      if (targets.length === 0) throw new Error("a token for nothing");
      this.fetched += 1;
      return new Promise((resolve, reject) => {
        const pending: PendingToken = { targets, resolve, reject };
        this.tokens.push(pending);
        signal.addEventListener("abort", () => this.#settle(pending));
      });
    },
    openSocket: (_token, handlers) => {
      this.opened += 1;
      const socket = new FakeSocket(handlers, this.database);
      this.sockets.push(socket);
      return {
        send: (text) => socket.take(JSON.parse(text)),
        close: () => {
          socket.isClosed = true;
          this.sockets = this.sockets.filter((other) => other !== socket);
        },
      };
    },
    watchWake: (onWake) => {
      this.wakeListeners.add(onWake);
      return () => this.wakeListeners.delete(onWake);
    },
  };

  get socket(): FakeSocket | undefined {
    return this.sockets.at(-1);
  }

  answerToken(text = "not readable"): void {
    const [pending] = this.tokens;
    if (pending === undefined) throw new Error("no token was asked for");
    this.#settle(pending);
    pending.resolve({ text, refused: new Map() });
  }

  /** Answers that all that was asked for is refused. */
  refuseToken(code: string): void {
    const [pending] = this.tokens;
    if (pending === undefined) throw new Error("no token was asked for");
    this.#settle(pending);
    const refused = pending.targets.map((target) => [target, new PaperDBError(code, "refused")] as const);
    pending.resolve({ text: undefined, refused: new Map(refused) });
  }

  failToken(retryable: boolean): void {
    const [pending] = this.tokens;
    if (pending === undefined) throw new Error("no token was asked for");
    this.#settle(pending);
    pending.reject(new PaperDBError("token_failed", "no token", { retryable }));
  }

  /** Lets the earliest timer fire, when its time has come. */
  fireTimer(): void {
    const [first] = [...this.timers].toSorted(([, a], [, b]) => a - b);
    if (first === undefined) throw new Error("no timer is running");
    const [fire, dueMs] = first;
    this.nowMs = Math.max(this.nowMs, dueMs);
    this.timers.delete(fire);
    fire();
  }

  wake(): void {
    for (const listener of Array.from(this.wakeListeners)) listener();
  }

  publish(name: string): void {
    const sequence = this.database.append(name);
    if (this.socket?.isOpen === true) this.socket.publish(name, sequence);
  }

  /** Lets what was only put off until the end of the turn happen. */
  async settle(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  #settle(pending: PendingToken): void {
    const index = this.tokens.indexOf(pending);
    if (index >= 0) this.tokens.splice(index, 1);
  }
}
