import type { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { HANDLE, handleOf, type HandleSocket } from "../socket-handle.ts";

const SUCCESSOR: unique symbol = Symbol("successor");

interface HttpSocket extends HandleSocket {
  /** The socket that has its connection now. */
  [SUCCESSOR]?: Socket;
}

/**
 * Takes a request's connection away from the HTTP server, which closes its own
 * socket and forgets all that it holds for it: parser, request, response and
 * timers are several kB. It is done in the way in which Node itself takes a
 * socket from HTTP to send it to another process.
 *
 * The request must be complete, it must be its response's turn, and nothing may wait to be written
 * ({@link Socket.writableLength}).
 *
 * @throws {Error} where this version of Node has no such handle.
 */
export function takeSocket({ socket }: IncomingMessage, response: ServerResponse): Socket {
  const old: HttpSocket = socket;
  const handle = handleOf(old);
  if (handle === undefined) {
    throw new Error(`Node ${process.version} has no socket handle that could be taken over from HTTP.`);
  }
  // While nobody listens to "data", the HTTP parser reads from the handle past the socket.
  old.on("data", ignore);
  old[HANDLE] = null;
  // Internal, too: a server of `node:net` makes its sockets in this way.
  const options = { handle, readable: true, writable: true };
  const taken = new Socket(options);
  old[SUCCESSOR] = taken;
  // Otherwise the request would be aborted, with an error whose stack trace takes longer than all this.
  response.emit("finish");
  old.destroy();
  return taken;
}

/** Cuts the connection of a request, also after {@link takeSocket}. */
export function cutConnection({ socket }: IncomingMessage): void {
  const { [SUCCESSOR]: successor = socket }: HttpSocket = socket;
  successor.destroy();
}

function ignore(): void {
  // What a client sends behind the request is for the socket's next owner.
}
