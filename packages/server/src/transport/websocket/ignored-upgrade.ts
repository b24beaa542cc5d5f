import { ServerResponse, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import { RealtimeError } from "@paperdb/protocol";
import { refuseUpgrade } from "./handshake.ts";

/** Whether the client would like another protocol than WebSocket, such as `curl --http2` does. */
export function wantsOtherProtocol({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() !== "websocket";
}

/**
 * Answers as if the client had not asked for an upgrade, which a server may do
 * (RFC 9110, section 7.8). Node has left the socket to whoever listens for upgrades.
 */
export function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Socket): void {
  const { headers } = request;
  if (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0) {
    // The body was not read, and nobody reads it now.
    refuseUpgrade(socket, new RealtimeError("invalid_request", 'Leave out "Upgrade": there is none here.'));
    return;
  }
  // Its close follows, and is what counts.
  socket.on("error", () => undefined);
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once("finish", () => socket.destroySoon());
  server.emit("request", request, response);
}
