import { createServer } from "node:net";
import { RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance } from "fastify";

/**
 * Connections that wait to be accepted, as far as the system allows: one that finds no room tries again after a second.
 * All that wait are accepted in one go, which should not take too long.
 */
const BACKLOG = 2048;

/**
 * Starts to accept connections.
 *
 * @returns the URL.
 * @throws {RealtimeError} in one sentence, when the port is taken or the address is not this machine's.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port, backlog: BACKLOG });
  } catch (error) {
    throw explain(error, host, port);
  }
}

/**
 * Finds out early what {@link listen} would say, before a first start makes keys that it shows once.
 *
 * @throws {RealtimeError} as {@link listen} does.
 */
export async function requireFreePort(host: string, port: number): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once("error", reject);
      probe.listen({ host, port }, resolve);
    });
  } catch (error) {
    throw explain(error, host, port);
  }
  await new Promise((resolve) => probe.close(resolve));
}

function explain(error: unknown, host: string, port: number): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    return new RealtimeError(
      "conflict",
      `Port ${port} on ${host} is taken: stop what listens there, or set PORT to another one.`,
      { cause: error },
    );
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    return new RealtimeError("invalid_request", `${host} is no address of this machine: correct HOST.`, {
      cause: error,
    });
  }
  if (code === "EACCES") {
    return new RealtimeError(
      "forbidden",
      `This user may not listen on port ${port}: set PORT to 1024 or more.`,
      {
        cause: error,
      },
    );
  }
  return error;
}
