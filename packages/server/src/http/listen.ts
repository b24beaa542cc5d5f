import { RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance } from "fastify";

/**
 * Starts to accept connections.
 *
 * @returns the URL.
 * @throws {RealtimeError} in one sentence, when the port is taken or the address is not this machine's.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") {
      throw new RealtimeError(
        "conflict",
        `Port ${port} on ${host} is taken: stop what listens there, or set PORT to another one.`,
        { cause: error },
      );
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new RealtimeError("invalid_request", `${host} is no address of this machine: correct HOST.`, {
        cause: error,
      });
    }
    if (code === "EACCES") {
      throw new RealtimeError(
        "forbidden",
        `This user may not listen on port ${port}: set PORT to 1024 or more.`,
        {
          cause: error,
        },
      );
    }
    throw error;
  }
}
