import type { FanOutPeer, PublishProtocol } from "../support/fan-out-server.ts";
import { clientFrame, serverFrame, upgradeRequest } from "../support/websocket-bytes.ts";
import { EVENT_DATA } from "../support/fan-out-event.ts";
import { findNats, installNats } from "./install.ts";
import { startProduct } from "./product.ts";

const SUBJECT = "events";
const CONNECT = 'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1"}\r\n';

/** NATS: plain messages, without JetStream; subscribers over WebSocket, the publisher over TCP. */
export const nats: FanOutPeer = {
  name: "nats",
  transports: ["websocket"],
  prepare: installNats,
  async start(transport, place) {
    const program = await findNats();
    if (program === undefined) throw new Error("The NATS server is not installed.");
    const server = await startProduct(
      {
        program,
        args: (file) => ["-c", file],
        configName: "nats.conf",
        ports: ["tcp", "websocket"],
        config: (ports: { readonly tcp: number; readonly websocket: number }) =>
          `listen: "127.0.0.1:${ports.tcp}"\nlogfile: "/dev/null"\n` +
          `websocket { listen: "127.0.0.1:${ports.websocket}", no_tls: true, compression: false }\n`,
      },
      place,
    );
    return {
      name: "NATS 2.15",
      transport,
      pids: [server.pid],
      port: server.ports.websocket,
      greeting: [
        { send: upgradeRequest("/"), until: "INFO " },
        { send: clientFrame("binary", `${CONNECT}SUB ${SUBJECT} 1\r\nPING\r\n`), until: "PONG\r\n" },
      ],
      publish: publishing(server.ports.tcp),
      pong: { ping: serverFrame("binary", "PING\r\n"), send: clientFrame("binary", "PONG\r\n") },
      close: () => server.close(),
    };
  },
};

/** Its protocol answers a publish only where the client asks for it, which clients do not. */
function publishing(port: number): PublishProtocol {
  return {
    port,
    greeting: [
      { send: Buffer.alloc(0), until: "INFO " },
      { send: Buffer.from(`${CONNECT}PING\r\n`), until: "PONG\r\n" },
    ],
    request: Buffer.from(`PUB ${SUBJECT} ${EVENT_DATA.length}\r\n${EVENT_DATA}\r\n`),
    answer: "",
  };
}
