import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";

/**
 * Counts the requests that are being answered on each socket: an upgrade that
 * was sent behind one, without waiting, must not write into its answer.
 */
export class PendingRequests {
  readonly #counts = new WeakMap<Socket, number>();

  constructor(app: FastifyInstance) {
    app.addHook("onRequest", (request, _reply, done) => {
      this.#add(request.raw.socket, 1);
      done();
    });
    app.addHook("onResponse", (request, _reply, done) => {
      this.#add(request.raw.socket, -1);
      done();
    });
  }

  has(socket: Socket): boolean {
    return (this.#counts.get(socket) ?? 0) > 0;
  }

  #add(socket: Socket, count: number): void {
    this.#counts.set(socket, (this.#counts.get(socket) ?? 0) + count);
  }
}
