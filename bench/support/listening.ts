import { once } from "node:events";
import type { Server } from "node:net";

/** As many connections as the system lets wait: a storm is not to be measured by its retries. */
const BACKLOG = 65_535;

/** Makes a server listen on a port of its own, on this machine only; once is enough. @returns the port. */
export async function listenLocally(server: Server): Promise<number> {
  if (!server.listening) {
    server.listen({ host: "127.0.0.1", port: 0, backlog: BACKLOG });
    await once(server, "listening");
  }
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server got no port.");
  return address.port;
}
