import { PaperDBError } from "../../packages/paperdb/src/paperdb-error.ts";
import type { Platform } from "../../packages/paperdb/src/platform.ts";
import type { Target } from "../../packages/paperdb/src/subscription.ts";
import type { FetchedToken } from "../../packages/paperdb/src/token-source.ts";
import { FakeDatabase } from "./fake-database.ts";
import { FakeSocket } from "./fake-socket.ts";

/** A request for a token that was not answered yet. */
export interface PendingToken {
  readonly targets: readonly Target[];
  resolve(fetched: FetchedToken): void;
  reject(error: PaperDBError): void;
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

  /** @param documentId - as `append` of the database takes it. */
  publish(name: string, documentId?: string): void {
    this.database.append(name, documentId);
    if (this.socket?.isOpen === true) this.socket.publish(name);
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
