/** What is used here of Bun, which runs this file: the repository does not depend on its types. */
interface BunServer {
  readonly port: number;
  upgrade(request: Request): boolean;
  publish(topic: string, data: string): void;
  timeout(request: Request, seconds: number): void;
}

interface BunSocket {
  subscribe(topic: string): void;
  send(data: string): void;
}

interface BunStream {
  write(data: string): void;
  flush(): void;
}

declare const Bun: {
  gc(force: boolean): void;
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    fetch(request: Request, server: BunServer): Response | undefined | Promise<Response>;
    websocket: {
      perMessageDeflate: boolean;
      open(socket: BunSocket): void;
      message(socket: BunSocket, data: unknown): void;
    };
  }): BunServer;
};

const TOPIC = "events";
const streams = new Set<BunStream>();

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  // The publisher's connection rests between two runs.
  idleTimeout: 0,
  async fetch(request, self) {
    if (request.method === "POST") {
      const data = await request.text();
      if (request.url.endsWith("/gc")) Bun.gc(true);
      else publish(data);
      return new Response(null, { status: 202 });
    }
    if (self.upgrade(request)) return new Response(null);
    return new Response(eventStream(request), { headers: { "content-type": "text/event-stream" } });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe(TOPIC);
      socket.send("ready");
    },
    message: () => undefined,
  },
});

function publish(data: string): void {
  server.publish(TOPIC, data);
  const event = `data: ${data}\n\n`;
  for (const stream of streams) {
    stream.write(event);
    stream.flush();
  }
}

/** A stream of Bun's kind `direct`, which writes to the socket without a queue of its own. */
function eventStream({ signal }: Request): ReadableStream {
  const source = {
    type: "direct",
    pull(stream: BunStream): Promise<void> {
      stream.write("event: ready\ndata: {}\n\n");
      stream.flush();
      streams.add(stream);
      return new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          streams.delete(stream);
          resolve();
        });
      });
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- The standard does not know this kind.
  return new ReadableStream(source as unknown as ConstructorParameters<typeof ReadableStream>[0]);
}

process.stdout.write(`${server.port}\n`);
