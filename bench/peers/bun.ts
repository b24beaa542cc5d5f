import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FanOutPeer } from "../support/fan-out-server.ts";
import { clientFrame, serverFrame, upgradeRequest } from "../support/websocket-bytes.ts";
import { collectGarbage, httpPublishing } from "./http-publishing.ts";
import { installPackages, packageVersion, PACKAGES_FOLDER } from "./install.ts";
import { PeerProcess } from "./peer-process.ts";

/** Bun: its own `publish()` over WebSocket, a stream for each client over SSE. */
export const bun: FanOutPeer = {
  name: "bun",
  transports: ["websocket", "sse"],
  prepare: installPackages,
  async start(transport, { core }) {
    const server = new PeerProcess({
      program: join(PACKAGES_FOLDER, "node_modules", ".bin", "bun"),
      args: [fileURLToPath(new URL("bun-server.ts", import.meta.url))],
      core,
      env: { NODE_ENV: "production" },
    });
    const port = await server.fetchPort();
    const version = await packageVersion("bun");
    const request = Buffer.from("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    return {
      name: transport === "websocket" ? `Bun ${version}, \`publish\`` : `Bun ${version}, \`write\` to each`,
      transport,
      pids: [server.pid],
      port,
      greeting: [{ send: transport === "websocket" ? upgradeRequest("/") : request, until: "ready" }],
      publish: httpPublishing(port),
      collectGarbage: () => collectGarbage(port),
      pong: { ping: serverFrame("ping", ""), send: clientFrame("pong", "") },
      close: () => server.stop(),
    };
  },
};
