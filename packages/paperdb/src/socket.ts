import { importWs } from "./import-ws.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { WebSocketConstructor, WebSocketLike } from "./types.ts";

/** What a socket tells. Nothing is told after `close`. */
export interface SocketHandlers {
  readonly onOpen: () => void;
  readonly onMessage: (message: { readonly data: unknown }) => void;
  readonly onClose: (close: { readonly code: number; readonly reason: string }) => void;
  /** There is no socket to be had. */
  readonly onUnavailable: (error: PaperDBError) => void;
}

/** An open socket, or one that is opening. */
export interface Socket {
  send(text: string): void;
  close(): void;
}

/** Opens a socket with the WebSocket given, the runtime's, or that of the package `ws`. */
export function openSocket(
  given: WebSocketConstructor | undefined,
  url: string,
  protocol: string,
  handlers: SocketHandlers,
): Socket {
  let socket: WebSocketLike | undefined;
  let isClosed = false;
  const unlessClosed =
    <Message>(handle: (message: Message) => void) =>
    (message: Message): void => {
      if (!isClosed) handle(message);
    };
  const open = unlessClosed((WebSocket: WebSocketConstructor) => {
    socket = new WebSocket(url, [protocol]);
    /* oxlint-disable unicorn/prefer-add-event-listener -- What all implementations have in common. */
    socket.onopen = unlessClosed(handlers.onOpen);
    socket.onmessage = unlessClosed(handlers.onMessage);
    socket.onclose = unlessClosed(handlers.onClose);
    socket.onerror = ignore;
  });
  const unavailable = unlessClosed((cause: unknown) => {
    handlers.onUnavailable(
      new PaperDBError("websocket_unavailable", "No WebSocket: see cause; on Node 20, npm install ws.", {
        cause,
      }),
    );
  });
  Promise.resolve(given ?? globalThis.WebSocket ?? importWs())
    .then(open)
    .catch(unavailable);
  return {
    send(text) {
      socket?.send(text);
    },
    close() {
      isClosed = true;
      socket?.close();
    },
  };
}

/** Its close follows, and is what counts; `ws` wants a listener even so. */
function ignore(): void {
  // Nothing to do.
}
