import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createClient } from "paperdb";
import pg from "pg";

const TABLE = `create table if not exists messages (
  id bigint generated always as identity primary key,
  tenant_id text not null,
  author text not null,
  text text not null,
  sent_at timestamptz not null default now()
)`;
const MAX_BODY_LENGTH = 10_000;
const SDK = new URL(".", import.meta.resolve("paperdb"));
const SDK_FILE = /^[a-z-]+\.js$/;

/**
 * The team's own backend. It writes rows, and mints the tokens with which pages listen to them. The API key stays here.
 *
 * @param {object} options
 * @param {number} options.port
 * @param {string} options.databaseUrl
 * @param {string} options.realtimeUrl - where this backend and browsers reach PaperDB Realtime
 * @param {ReadonlyMap<string, string>} options.apiKeys - the secret key of each team, which is a tenant
 * @returns {Promise<{ url: string, close(): Promise<void> }>}
 */
export async function startBackend({ port, databaseUrl, realtimeUrl, apiKeys }) {
  const database = new pg.Pool({ connectionString: databaseUrl });
  // A lost idle connection is replaced when it is needed.
  database.on("error", (error) => process.stderr.write(`${error.message}\n`));
  await database.query(TABLE);
  const page = await readFile(new URL("page.html", import.meta.url), "utf8");
  const clients = new Map();
  for (const [team, apiKey] of apiKeys) clients.set(team, createClient({ apiKey, baseUrl: realtimeUrl }));

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      const isInvalid = error instanceof SyntaxError;
      if (!isInvalid) process.stderr.write(`${error.stack}\n`);
      if (response.headersSent) response.destroy();
      else response.writeHead(isInvalid ? 400 : 500).end(isInvalid ? error.message : "The backend failed.");
    });
  });

  /**
   * A real application takes the team and the author from the user's session; the example takes them from the request.
   *
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async function answer(request, response) {
    const [, team = "", resource] = new URL(request.url ?? "/", "http://x").pathname.split("/");
    const json = (value) => {
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify(value));
    };
    const db = clients.get(team);
    const call = `${request.method} ${resource ?? ""}`;
    if (team === "") {
      response.writeHead(302, { location: `/${apiKeys.keys().next().value}` }).end();
    } else if (team === "sdk" && SDK_FILE.test(resource ?? "")) {
      const file = await readFile(new URL(resource, SDK));
      response.writeHead(200, { "content-type": "text/javascript" }).end(file);
    } else if (db === undefined) {
      response.writeHead(404).end("There is no such team.");
    } else if (call === "GET ") {
      const facts = JSON.stringify({ team, realtimeUrl }).replaceAll("<", "\\u003c");
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(page.replace("{{facts}}", () => facts));
    } else if (call === "POST token") {
      json({ token: await db.realtime.generateToken({ collections: ["messages"], topics: ["typing"] }) });
    } else if (call === "POST messages") {
      const { author, text } = await bodyOf(request);
      const sql = "insert into messages (tenant_id, author, text) values ($1, $2, $3)";
      await database.query(sql, [team, String(author), String(text)]);
      json({});
    } else if (call === "POST typing") {
      const { author } = await bodyOf(request);
      await db.events.publish("typing", { author: String(author) });
      json({});
    } else {
      response.writeHead(404).end("There is nothing here.");
    }
  }

  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      for (const client of clients.values()) client.close();
      await database.end();
    },
  };
}

/** @param {import("node:http").IncomingMessage} request */
async function bodyOf(request) {
  let body = "";
  for await (const text of request.setEncoding("utf8")) {
    body += text;
    if (body.length > MAX_BODY_LENGTH) throw new SyntaxError("The body is too large.");
  }
  const value = JSON.parse(body);
  if (typeof value !== "object" || value === null) throw new SyntaxError("The body is not an object.");
  return value;
}
