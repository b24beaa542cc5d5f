import type { FanOutPeer } from "../support/fan-out-server.ts";
import { collectGarbage, httpPublishing } from "./http-publishing.ts";
import { startNode } from "./node-process.ts";

/** `node:http`: what most Node servers do, `write()` to each response. */
export const nodeHttp: FanOutPeer = {
  name: "node-http",
  transports: ["sse"],
  prepare: () => Promise.resolve(undefined),
  async start(transport, place) {
    const { process: server, port } = await startNode(new URL("node-http-server.ts", import.meta.url), place);
    return {
      name: "`node:http`, `write` to each",
      transport,
      pids: [server.pid],
      port,
      greeting: [{ send: Buffer.from("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"), until: "event: ready" }],
      publish: httpPublishing(port),
      collectGarbage: () => collectGarbage(port),
      close: () => server.stop(),
    };
  },
};
