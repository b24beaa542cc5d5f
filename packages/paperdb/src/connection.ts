import { backoffMs } from "./backoff.ts";
import { closeKind, type CloseKind } from "./close-code.ts";
import { ConnectionMachine } from "./connection-machine.ts";
import { HOLDERS, type ConnectionState } from "./connection-table.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { Platform } from "./platform.ts";
import { Session, type RefusalListener } from "./session.ts";
import type { Settings } from "./settings.ts";
import type { Socket } from "./socket.ts";
import { StatusListeners } from "./status-listeners.ts";
import { DUPLICATE, Subscriptions } from "./subscriptions.ts";
import { Token } from "./token.ts";

/** A connection that lasted so long was a good one: the next attempt does not wait long. */
const STABLE_MS = 5_000;
/** So many fresh tokens may be rejected in a row. */
const MAX_REJECTIONS = 5;

/** The one connection of a client: does what the table of its life says. */
export class Connection {
  readonly subscriptions: Subscriptions = new Subscriptions(() => {
    this.#reconcile();
  });
  readonly statusListeners: StatusListeners = new StatusListeners();
  readonly #settings: Settings;
  readonly #platform: Platform;
  #lastServerError: PaperDBError | undefined;
  #socket: Socket | undefined;
  #session: Session | undefined;
  #token: Token | undefined;
  #tokenRequest: AbortController | undefined;
  #stopTimer: (() => void) | undefined;
  #stopWakeWatch: (() => void) | undefined;
  #openedAtMs = 0;
  #heardAtMs = 0;
  #renewAtMs = 0;
  #resubscribeAtMs = 0;
  #failures = 0;
  #rejections = 0;

  constructor(settings: Settings, platform: Platform) {
    this.#settings = settings;
    this.#platform = platform;
  }

  get state(): ConnectionState {
    return this.#machine.state;
  }

  /** Ends everything, for good. */
  close(): void {
    this.#machine.dispatch("stop");
  }

  readonly #machine: ConnectionMachine = new ConnectionMachine({
    enter: (error) => {
      const { state } = this.#machine;
      this.#stopTimer?.();
      this.#stopWakeWatch?.();
      this.#stopWakeWatch = HOLDERS.wakeWatch.includes(state)
        ? this.#platform.watchWake(this.#onDue)
        : undefined;
      if (!HOLDERS.tokenRequest.includes(state)) this.#endTokenRequest();
      if (!HOLDERS.socket.includes(state)) this.#closeSocket();
      this.statusListeners.follow(state, error);
    },
    authorize: () => {
      const token = this.#token;
      const isGood =
        token !== undefined &&
        this.#now() < token.renewAtMs &&
        this.subscriptions.wanted.every(({ target }) => token.covers(target));
      if (isGood) this.#machine.dispatch("token");
      else void this.#fetchToken();
    },
    connect: () => {
      this.#after(this.#settings.connectTimeoutMs, this.#onTimeOut);
      this.#socket = this.#platform.openSocket(this.#token?.text ?? "", {
        onOpen: () => {
          this.#machine.dispatch("opened");
        },
        onMessage: ({ data }) => {
          this.#receive(data);
        },
        onClose: ({ code, reason }) => {
          const type = this.#closeEvent(code);
          const error =
            this.#lastServerError ??
            new PaperDBError("connection_closed", reason === "" ? `Closed with code ${code}.` : reason, {
              status: code,
              retryable: type !== "refused",
            });
          this.#machine.dispatch(type, error);
        },
        onUnavailable: (error) => {
          this.#machine.dispatch("refused", error);
        },
      });
    },
    begin: () => {
      this.#openedAtMs = this.#heardAtMs = this.#resubscribeAtMs = this.#now();
      this.#renewInTime();
      this.#session = new Session((text) => this.#socket?.send(text), this.#onRefusal);
    },
    authenticate: () => {
      this.#failures = 0;
      this.#session?.send({ type: "auth", token: this.#token?.text ?? "" });
      this.#renewInTime();
    },
    synchronize: () => {
      for (const subscription of this.subscriptions.wanted) {
        if (subscription.id !== undefined || subscription.isHeld) continue;
        if (this.#token?.covers(subscription.target) === true) this.#session?.subscribe(subscription);
        else void this.#fetchToken();
      }
    },
    check: () => {
      const now = this.#now();
      const silentAtMs = this.#heardAtMs + this.#settings.heartbeatTimeoutMs;
      if (now >= silentAtMs) this.#onTimeOut();
      if (now >= this.#resubscribeAtMs) {
        this.#resubscribeAtMs = Infinity;
        for (const subscription of this.subscriptions) subscription.isHeld = false;
      }
      if (now >= this.#renewAtMs) {
        this.#renewAtMs = Infinity;
        void this.#fetchToken();
      }
      this.#after(Math.min(silentAtMs, this.#resubscribeAtMs, this.#renewAtMs) - now, this.#onDue);
    },
    forgetToken: () => {
      this.#token = undefined;
    },
    retryToken: () => {
      this.#endTokenRequest();
      this.#failures += 1;
      this.#renewAtMs = this.#now() + this.#backoffMs(this.#failures);
    },
    wait: () => {
      this.#failures += 1;
      this.#after(this.#backoffMs(this.#failures), this.#onDue);
    },
    linger: () => {
      // A renewal that was under way has ended with the last subscription.
      this.#renewInTime();
      this.#after(this.#settings.lingerMs, this.#onDue);
    },
    end: (error) => {
      this.subscriptions.endAll(error);
    },
  });

  /** Brings the connection in line with what is subscribed to. */
  #reconcile(): void {
    const { wanted } = this.subscriptions;
    this.#session?.prune(wanted);
    this.#machine.dispatch(wanted.length === 0 ? "unwanted" : "wanted");
  }

  #receive(text: unknown): void {
    this.#heardAtMs = this.#now();
    try {
      this.#session?.receive(JSON.parse(String(text)));
    } catch (cause) {
      const error = new PaperDBError("protocol_error", "The server sent no message.", { cause });
      this.#machine.dispatch("lost", error);
    }
  }

  readonly #onRefusal: RefusalListener = (error, subscription) => {
    if (subscription === undefined) {
      if (error.retryable) this.#machine.dispatch("tokenFailed", error);
      else this.#lastServerError = error;
    } else if (this.subscriptions.adopt(subscription, error)) this.#reconcile();
    else if (error.retryable || error.code === DUPLICATE) {
      subscription.isHeld = true;
      subscription.refusals += 1;
      this.#resubscribeAtMs = this.#now() + this.#backoffMs(subscription.refusals);
      this.#machine.dispatch("due");
    } else if (error.code === "forbidden" && !subscription.hasFreshToken) {
      subscription.hasFreshToken = true;
      this.#token = undefined;
      this.#reconcile();
    } else this.subscriptions.end(subscription, error);
  };

  /** A fresh token that is rejected is no end of a token: the next attempt waits, and after some there is none. */
  #closeEvent(code: number): CloseKind {
    const kind = closeKind(code);
    if (kind !== "expired") return kind;
    const wasOver = this.#now() >= (this.#token?.endsAtMs ?? 0);
    this.#token = undefined;
    if (wasOver || this.#session?.hasBeenReady === true) return kind;
    this.#rejections += 1;
    return this.#rejections > MAX_REJECTIONS ? "refused" : "lost";
  }

  #closeSocket(): void {
    this.#socket?.close();
    this.#socket = undefined;
    if (this.#session === undefined) return;
    if (this.#now() - this.#openedAtMs >= STABLE_MS) this.#failures = 0;
    if (this.#session.hasBeenReady) this.#rejections = 0;
    this.#session.end();
    this.#session = this.#lastServerError = undefined;
  }

  /** Asks for a token for all that is subscribed to, unless one is being asked for. */
  async #fetchToken(): Promise<void> {
    if (this.#tokenRequest !== undefined) return;
    const request = new AbortController();
    this.#tokenRequest = request;
    const stopTimer = this.#platform.after(this.#settings.connectTimeoutMs, () => {
      this.#onTimeOut("tokenFailed");
    });
    request.signal.addEventListener("abort", stopTimer);
    const targets = this.subscriptions.wanted.map(({ target }) => target);
    const fetched = await this.#platform
      .fetchToken(targets, request.signal)
      .catch((error: PaperDBError) => error);
    if (request.signal.aborted) return;
    stopTimer();
    this.#tokenRequest = undefined;
    if (fetched instanceof PaperDBError) {
      this.#machine.dispatch(fetched.retryable ? "tokenFailed" : "refused", fetched);
      return;
    }
    const { text, refused } = fetched;
    for (const subscription of this.subscriptions) {
      const error = refused.get(subscription.target);
      if (error !== undefined) this.subscriptions.end(subscription, error);
    }
    if (text === undefined) this.#reconcile();
    else {
      this.#token = new Token(text, targets, this.#now());
      this.#machine.dispatch("token");
    }
  }

  #endTokenRequest(): void {
    this.#tokenRequest?.abort();
    this.#tokenRequest = undefined;
  }

  #now(): number {
    return this.#platform.now();
  }

  #backoffMs(failures: number): number {
    return backoffMs(failures, this.#settings.backoff, this.#platform.random());
  }

  #renewInTime(): void {
    this.#renewAtMs = this.#token?.renewAtMs ?? Infinity;
  }

  readonly #onDue = (): void => {
    this.#machine.dispatch("due");
  };

  readonly #onTimeOut = (event: "lost" | "tokenFailed" = "lost"): void => {
    const error = new PaperDBError("timed_out", "No answer in time.", { retryable: true });
    this.#machine.dispatch(event, error);
  };

  /** Starts the timer, in place of the one before. */
  #after(ms: number, onFire: () => void): void {
    this.#stopTimer?.();
    this.#stopTimer = this.#platform.after(ms, onFire);
  }
}
