import type { ServerResponse } from "node:http";
import { constants, createGzip, type Gzip } from "node:zlib";
import { WebSocketServer } from "ws";
import { announce, createPublishingServer } from "../peers/http-publishing.ts";

/** As long as a cursor of ours. */
const CURSOR = "c".repeat(40);
const TOPIC = "bench.tick";

const streams = new Set<Gzip>();

const server = createPublishingServer(
  (data) => {
    const event = `{"topic":"${TOPIC}","data":${data.toString()}}`;
    for (const stream of streams) send(stream, `id: ${CURSOR}\ndata: ${event}\n\n`);
    const message = `{"type":"event","channel":"1","cursor":"${CURSOR}","event":${event}}`;
    for (const client of sockets.clients) client.send(message);
  },
  (_request, response) => subscribe(response),
);

/** Every message is compressed; the rest is as `ws` has it. */
const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });
sockets.on("connection", (socket) => socket.send("ready"));

function subscribe(response: ServerResponse): void {
  // The clients read no chunks.
  response.removeHeader("transfer-encoding");
  response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" });
  const stream = createGzip();
  stream.pipe(response);
  streams.add(stream);
  response.once("close", () => {
    streams.delete(stream);
    stream.destroy();
  });
  send(stream, "event: ready\ndata: {}\n\n");
}

function send(stream: Gzip, text: string): void {
  stream.write(text);
  stream.flush(constants.Z_SYNC_FLUSH);
}

await announce(server);
