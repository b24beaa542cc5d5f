import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { basename } from "node:path";
import type { Client } from "paperdb";

/** Pages of an application, and its backend, which mints their tokens. */
export interface SdkPageServer {
  readonly origin: string;
  /** What the pages have asked tokens for. */
  readonly tokenRequests: readonly { readonly collections: string[]; readonly topics: string[] }[];
  /** Who mints the tokens: set before a page asks. */
  backend: Client | undefined;
  close(): Promise<void>;
}

const BUILT = new URL("../../packages/paperdb/dist/", import.meta.url);

/**
 * Serves scripts by their names, each with a page of its own, the built SDK as plain modules under `/paperdb/`, and
 * `POST /token`.
 */
export async function startSdkPageServer(scripts: Readonly<Record<string, string>>): Promise<SdkPageServer> {
  const tokenRequests: { collections: string[]; topics: string[] }[] = [];
  const answer = async (request: IncomingMessage): Promise<[type: string, body: string]> => {
    const path = request.url ?? "/";
    const name = basename(path);
    if (path === "/token") {
      const need: { collections: string[]; topics: string[] } = JSON.parse(await readText(request));
      tokenRequests.push(need);
      return ["text/plain", (await pages.backend?.realtime.generateToken(need)) ?? ""];
    }
    if (path.startsWith("/paperdb/"))
      return ["text/javascript", await readFile(new URL(name, BUILT), "utf8")];
    const script = scripts[name];
    if (script !== undefined) return ["text/javascript", script];
    return [
      "text/html",
      `<!doctype html><div id="root"></div><script type="module" src="${path}.js"></script>`,
    ];
  };
  const server = createServer((request, response) => {
    answer(request).then(
      ([type, body]) => response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port was given.");
  const pages: SdkPageServer = {
    origin: `http://127.0.0.1:${address.port}`,
    tokenRequests,
    backend: undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return pages;
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString("utf8");
}
