import type { FanOutPeer } from "../support/fan-out-server.ts";
import { upgradeRequest } from "../support/websocket-bytes.ts";
import { collectGarbage, httpPublishing } from "./http-publishing.ts";
import { startNode } from "./node-process.ts";

/** `ws`: what most Node servers do, `send()` to each. */
export const ws: FanOutPeer = {
  name: "ws",
  transports: ["websocket"],
  prepare: () => Promise.resolve(undefined),
  async start(transport, place) {
    const { process: server, port } = await startNode(new URL("ws-server.ts", import.meta.url), place);
    return {
      name: "`ws`, `send` to each",
      transport,
      pids: [server.pid],
      port,
      greeting: [{ send: upgradeRequest("/"), until: "ready" }],
      publish: httpPublishing(port),
      collectGarbage: () => collectGarbage(port),
      close: () => server.stop(),
    };
  },
};
