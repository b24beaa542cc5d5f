import { WebSocketServer } from "ws";
import { announce, createPublishingServer } from "./http-publishing.ts";

const server = createPublishingServer(
  (data) => {
    for (const client of sockets.clients) client.send(data, { binary: false });
  },
  (_request, response) => void response.writeHead(404).end(),
);
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: true });
sockets.on("connection", (socket) => socket.send("ready"));
await announce(server);
