import { createServer, connect } from "node:net";
import type { Socket } from "node:net";
import { freePort } from "./free-port.ts";

/** A TCP proxy before PostgreSQL that misbehaves when told to. */
export interface MisbehavingProxy {
  /** The database's URL by way of the proxy. */
  readonly url: string;
  /** From now on nothing is forwarded, and no connection ends: the half-open case. */
  freeze(): void;
  /** New connections work again; those of before stay frozen. */
  thaw(): void;
  /** Takes notifications out of what the server sends, as a pooler in transaction mode does. */
  swallowNotifications(): void;
  close(): Promise<void>;
}

const NOTIFICATION_RESPONSE = "A".charCodeAt(0);

/** Starts a proxy before the server of this URL. */
export async function startMisbehavingProxy(databaseUrl: string): Promise<MisbehavingProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let frozen = false;
  let swallowing = false;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let stuck = frozen;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
    client.on("data", (bytes) => {
      stuck ||= frozen;
      if (!stuck) upstream.write(bytes);
    });
    const filter = new NotificationFilter();
    upstream.on("data", (bytes: Buffer) => {
      stuck ||= frozen;
      if (!stuck) client.write(swallowing ? filter.without(bytes) : bytes);
    });
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => {
      if (!stuck) client.destroy();
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
  const url = new URL(databaseUrl);
  url.port = String(port);
  return {
    url: url.href,
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
    },
    swallowNotifications: () => {
      swallowing = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** Reads the server's messages (type, length, content) and leaves notifications out. */
class NotificationFilter {
  #rest = Buffer.alloc(0);

  without(bytes: Buffer): Buffer {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const kept: Buffer[] = [];
    while (this.#rest.length >= 5) {
      const length = 1 + this.#rest.readUInt32BE(1);
      if (this.#rest.length < length) break;
      if (this.#rest[0] !== NOTIFICATION_RESPONSE) kept.push(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
    }
    return Buffer.concat(kept);
  }
}
