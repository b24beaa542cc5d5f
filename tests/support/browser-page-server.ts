import { createServer } from "node:http";

/** Serves the pages of a test, on an origin of its own. */
export interface PageServer {
  readonly origin: string;
  close(): Promise<void>;
}

/** @param render - makes the page for a request's query. */
export async function startPageServer(render: (query: URLSearchParams) => string): Promise<PageServer> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://page");
    if (url.pathname !== "/") {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(render(url.searchParams));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port was given.");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
