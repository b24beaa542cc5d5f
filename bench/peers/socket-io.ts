import type { FanOutPeer } from "../support/fan-out-server.ts";
import { clientFrame, serverFrame, upgradeRequest } from "../support/websocket-bytes.ts";
import { collectGarbage, httpPublishing } from "./http-publishing.ts";
import { installPackages, packageVersion, PACKAGES_FOLDER } from "./install.ts";
import { startNode } from "./node-process.ts";

/** Socket.IO over WebSocket, `io.emit()` to all. */
export const socketIo: FanOutPeer = {
  name: "socket.io",
  transports: ["websocket"],
  prepare: installPackages,
  async start(transport, place) {
    const module = new URL("socket-io-server.ts", import.meta.url);
    const { process: server, port } = await startNode(module, place, [PACKAGES_FOLDER]);
    return {
      name: `Socket.IO ${await packageVersion("socket.io")}`,
      transport,
      pids: [server.pid],
      port,
      greeting: [
        { send: upgradeRequest("/socket.io/?EIO=4&transport=websocket"), until: '0{"sid"' },
        { send: clientFrame("text", "40"), until: '42["ready"]' },
      ],
      publish: httpPublishing(port),
      collectGarbage: () => collectGarbage(port),
      pong: { ping: serverFrame("text", "2"), send: clientFrame("text", "3") },
      close: () => server.stop(),
    };
  },
};
