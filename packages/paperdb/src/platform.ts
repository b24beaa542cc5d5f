import { systemClock, type Clock } from "./clock.ts";
import { SUBPROTOCOL } from "./close-code.ts";
import type { Settings } from "./settings.ts";
import { openSocket, type Socket, type SocketHandlers } from "./socket.ts";
import type { Target } from "./subscription.ts";
import { fetchToken, type FetchedToken } from "./token-source.ts";
import { watchWake } from "./wake-watch.ts";

/** What a connection has of the world around it. */
export interface Platform extends Clock {
  fetchToken(targets: readonly Target[], signal: AbortSignal): Promise<FetchedToken>;
  openSocket(token: string, handlers: SocketHandlers): Socket;
  watchWake(onWake: () => void): (() => void) | undefined;
}

/** The real world. */
export function systemPlatform(settings: Settings): Platform {
  return {
    ...systemClock,
    fetchToken: (targets, signal) => fetchToken(settings, targets, signal),
    openSocket(token, handlers) {
      const url = `${settings.realtimeUrl}?token=${encodeURIComponent(token)}`;
      return openSocket(settings.WebSocket, url, SUBPROTOCOL, handlers);
    },
    watchWake,
  };
}
