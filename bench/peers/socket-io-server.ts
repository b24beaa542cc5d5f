import type { Server as HttpServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { announce, createPublishingServer } from "./http-publishing.ts";

/** What is used here of the package, which the repository does not depend on. */
interface SocketIo {
  readonly Server: new (
    server: HttpServer,
    options: { readonly serveClient: boolean; readonly transports: readonly string[] },
  ) => {
    readonly engine: { on(event: "connection", listener: (socket: { request: unknown }) => void): void };
    on(event: "connection", listener: (socket: { emit(name: string): void }) => void): void;
    emit(name: string, data: unknown): void;
  };
}

const [packages = "."] = process.argv.slice(2);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Its types are where the package is, not here.
const { Server } = createRequire(join(packages, "package.json"))("socket.io") as SocketIo;

const server = createPublishingServer(
  (data) => io.emit("event", JSON.parse(data.toString())),
  (_request, response) => void response.writeHead(404).end(),
);
const io = new Server(server, { serveClient: false, transports: ["websocket"] });
// As its documentation advises for memory: the first request is not kept.
io.engine.on("connection", (socket) => {
  socket.request = null;
});
io.on("connection", (socket) => socket.emit("ready"));
await announce(server);
