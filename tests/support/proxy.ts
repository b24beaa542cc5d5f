import { createServer, connect } from "node:net";
import type { Server, Socket } from "node:net";
import { freePort } from "./free-port.ts";

/** A TCP proxy in front of a server: the network, as a test breaks and mends it. */
export interface TcpProxy {
  /** Where clients connect, whatever stands behind it. */
  readonly url: string;
  /** Connections that are open. */
  readonly open: number;
  /** Cuts every connection, without a goodbye, and refuses new ones. */
  cut(): Promise<void>;
  /** Accepts connections again, for another server where one is given. */
  mend(targetUrl?: string): Promise<void>;
  close(): Promise<void>;
}

/** Starts a proxy for the server at `targetUrl`. */
export async function startProxy(targetUrl: string): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let target = new URL(targetUrl);
  const port = await freePort();
  let server: Server | undefined;

  const onConnection = (client: Socket): void => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      // Its close follows, and is what counts.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  };
  const listen = async (): Promise<void> => {
    const next = createServer(onConnection);
    await new Promise<void>((resolve, reject) => {
      next.once("error", reject);
      next.listen(port, "127.0.0.1", resolve);
    });
    server = next;
  };
  const cut = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.resetAndDestroy();
    if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
  };
  await listen();
  return {
    url: `http://127.0.0.1:${port}`,
    get open() {
      return sockets.size / 2;
    },
    cut,
    async mend(nextTargetUrl) {
      if (nextTargetUrl !== undefined) target = new URL(nextTargetUrl);
      await listen();
    },
    close: cut,
  };
}
