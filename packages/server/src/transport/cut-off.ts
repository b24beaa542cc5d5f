import type { Socket } from "node:net";

/**
 * Ends a connection whose peer does not read, with all that it has not taken. To an ordinary end the system would add
 * minutes in which it keeps that for the peer, megabytes of memory that are common to all connections.
 */
export function cutOff(socket: Socket): void {
  // An end that waits for the last bytes cannot become a reset any more.
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
