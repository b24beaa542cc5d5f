import type { ServerResponse } from "node:http";
import { announce, createPublishingServer } from "./http-publishing.ts";

const clients = new Set<ServerResponse>();

const server = createPublishingServer(
  (data) => {
    const event = Buffer.concat([Buffer.from("data: "), data, Buffer.from("\n\n")]);
    for (const client of clients) client.write(event);
  },
  (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    response.write("event: ready\ndata: {}\n\n");
    clients.add(response);
    response.once("close", () => clients.delete(response));
  },
);
await announce(server);
