import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Counts the requests that are being answered on each socket: an upgrade that
 * was sent behind one, without waiting, must not write into its answer.
 */
export class PendingRequests {
  readonly #counts = new WeakMap<Socket, number>();

  constructor(server: Server) {
    server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#add(socket, 1);
      response.once("close", () => this.#add(socket, -1));
    });
  }

  has(socket: Socket): boolean {
    return (this.#counts.get(socket) ?? 0) > 0;
  }

  #add(socket: Socket, count: number): void {
    this.#counts.set(socket, (this.#counts.get(socket) ?? 0) + count);
  }
}
