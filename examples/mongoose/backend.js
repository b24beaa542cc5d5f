import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import mongoose from "mongoose";
import { Message } from "./message.js";

/**
 * The team's own backend. It knows nothing of subscriptions: it writes with mongoose, and pages hear of it.
 *
 * @param {object} options
 * @param {string} options.mongodbUrl
 * @param {number} options.port
 * @param {string} options.realtimeUrl - where browsers reach PaperDB Realtime
 * @param {ReadonlyMap<string, string>} options.anonKeys - the anon key of each tenant
 * @returns {Promise<{ url: string, close(): Promise<void> }>}
 */
export async function startBackend({ mongodbUrl, port, realtimeUrl, anonKeys }) {
  await mongoose.connect(mongodbUrl);
  await Message.createCollection();
  const page = await readFile(new URL("page.html", import.meta.url), "utf8");

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      const isInvalid = error instanceof mongoose.Error || error instanceof SyntaxError;
      if (!isInvalid) process.stderr.write(`${error.stack}\n`);
      response.writeHead(isInvalid ? 400 : 500, { "content-type": "text/plain" });
      response.end(isInvalid ? error.message : "The backend failed.");
    });
  });

  /**
   * A real application takes the tenant from the user's session; the example takes it from the path.
   *
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async function answer(request, response) {
    const [, tenantId = "", resource, id, action] = new URL(request.url ?? "/", "http://x").pathname.split(
      "/",
    );
    const json = (value) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const anonKey = anonKeys.get(tenantId);
    const call = `${request.method} ${[resource, id && ":id", action].filter(Boolean).join("/")}`;
    if (tenantId === "") {
      response.writeHead(302, { location: `/${anonKeys.keys().next().value}` }).end();
    } else if (anonKey === undefined) {
      response.writeHead(404).end("There is no such tenant.");
    } else if (call === "GET ") {
      const facts = JSON.stringify({ tenantId, realtimeUrl, anonKey }).replaceAll("<", "\\u003c");
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(page.replace("{{facts}}", () => facts));
    } else if (call === "GET messages") {
      json(await Message.find({ tenantId }).sort({ createdAt: 1 }).limit(500).lean());
    } else if (call === "POST messages") {
      const { text } = JSON.parse(await bodyOf(request));
      json(await Message.create({ tenantId, text }));
    } else if (call === "POST messages/:id/like") {
      json(await Message.findOneAndUpdate({ _id: id, tenantId }, { $inc: { likes: 1 } }));
    } else if (call === "DELETE messages/:id") {
      json(await Message.deleteOne({ _id: id, tenantId }));
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
      await mongoose.disconnect();
    },
  };
}

/** @param {import("node:http").IncomingMessage} request */
async function bodyOf(request) {
  let body = "";
  for await (const text of request.setEncoding("utf8")) {
    body += text;
    if (body.length > 10_000) throw new SyntaxError("The body is too large.");
  }
  return body;
}
