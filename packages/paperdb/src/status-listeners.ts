import type { ConnectionState } from "./connection-table.ts";
import { attempt } from "./listener.ts";
import type { PaperDBError } from "./paperdb-error.ts";
import { reportUncaught } from "./report-error.ts";
import type { ConnectionStatus, Unsubscribe } from "./types.ts";

const STATUS: Readonly<Partial<Record<ConnectionState, ConnectionStatus>>> = {
  idle: "idle",
  lingering: "idle",
  open: "live",
  failed: "closed",
  closed: "closed",
};

type StatusListener = (status: ConnectionStatus, error?: PaperDBError) => unknown;

/** Who wants to know how the connection stands. */
export class StatusListeners {
  status: ConnectionStatus = "idle";
  readonly #listeners = new Set<StatusListener>();

  add(listener: StatusListener): Unsubscribe {
    // Of its own, so that the same function can be given twice.
    const own: StatusListener = (...given) => listener(...given);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** Tells them, where the state means another status, or an attempt has failed. */
  follow(state: ConnectionState, error: PaperDBError | undefined): void {
    const wasLive = this.status === "live" || this.status === "reconnecting";
    const status = STATUS[state] ?? (wasLive ? "reconnecting" : "connecting");
    if (status === this.status && state !== "waiting") return;
    this.status = status;
    for (const listener of Array.from(this.#listeners)) attempt(reportUncaught, listener, status, error);
  }
}
