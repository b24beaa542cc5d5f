import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { createClient, type Client } from "paperdb";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { startSdkPageServer, type SdkPageServer } from "../support/sdk-page-server.ts";
import { until } from "../support/until.ts";

/** Without a bundler: the built package, as the browser's own modules. The page's address says where the server is. */
const MODULE_PAGE = `
import { createClient } from "/paperdb/index.js";
const db = createClient({
  baseUrl: location.origin,
  realtimeUrl: location.hash.slice(1),
  getToken: async ({ collections, topics }) => {
    const response = await fetch("/token", { method: "POST", body: JSON.stringify({ collections, topics }) });
    return response.text();
  },
  // So long that a page which came back did not wait.
  backoff: { minMs: 600_000, maxMs: 600_000 },
});
Object.assign(window, { createClient, db, events: [], statuses: [], resets: [] });
db.realtime.subscribe("messages", (event) => events.push(event), {
  onStatus: (status) => statuses.push(status),
  onReset: ({ reason }) => resets.push(reason),
});
`;

let browser: Browser;
let pages: SdkPageServer;
let messages: MessagesServer;
let proxy: TcpProxy;
let backend: Client;
let context: BrowserContext;

async function bundlePage(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`${name}-page.mjs`, import.meta.url))],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    define: { "process.env.NODE_ENV": '"development"' },
  });
  return outputFiles[0]?.text ?? "";
}

beforeAll(async () => {
  browser = await launchBrowser();
  pages = await startSdkPageServer({
    "plain.js": MODULE_PAGE,
    "react.js": await bundlePage("react"),
    "react-list.js": await bundlePage("react-list"),
  });
  messages = await MessagesServer.start({ cors: { origins: [pages.origin] } });
  proxy = await startProxy(messages.url);
  backend = createClient({ apiKey: messages.acme.secretKey, baseUrl: messages.url });
  pages.backend = backend;
});

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(() => context.close());

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await proxy?.close();
  await messages?.close();
});

/** A page, and what it sends over WebSockets. */
async function openPage(
  name: string,
): Promise<{ page: Page; errors: string[]; sent: string[]; sockets: string[] }> {
  const page = await context.newPage();
  const errors: string[] = [];
  const sent: string[] = [];
  const sockets: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("websocket", (socket) => {
    sockets.push(socket.url());
    socket.on("framesent", ({ payload }) => sent.push(String(payload)));
  });
  await page.goto(`${pages.origin}/${name}#${proxy.url.replace("http", "ws")}`);
  return { page, errors, sent, sockets };
}

async function waitFor(page: Page, expression: string): Promise<void> {
  await until(() => page.evaluate<boolean>(expression), { describe: expression });
}

async function insert(body: string): Promise<void> {
  await messages.server.database.query("insert into messages (tenant_id, body) values ('acme', $1)", [body]);
}

describe("the SDK in Chromium, as plain modules with getToken", () => {
  it("gets changes with a token of the backend's, which alone has the key", async () => {
    const { page, errors, sockets } = await openPage("plain");
    await waitFor(page, 'statuses.at(-1) === "live"');
    await insert("hello");
    await waitFor(page, "events.length === 1");
    expect(await page.evaluate("events")).toEqual([
      {
        type: "insert",
        collection: "messages",
        documentId: expect.any(String),
        data: { id: expect.any(Number), tenant_id: "acme", body: "hello" },
      },
    ]);
    expect(pages.tokenRequests.at(-1)).toEqual({ collections: ["messages"], topics: [] });
    expect(sockets.length).toBe(1);
    expect(errors).toEqual([]);
  });

  it("comes back at once when the network is back, and has missed nothing", async () => {
    const { page } = await openPage("plain");
    await waitFor(page, 'statuses.at(-1) === "live"');
    await context.setOffline(true);
    await proxy.cut();
    await waitFor(page, 'statuses.at(-1) === "reconnecting"');
    await insert("missed");
    await proxy.mend();
    // Again where the first attempt came too early: the event may precede the network.
    await until(
      async () => {
        await context.setOffline(true);
        await context.setOffline(false);
        return page.evaluate<boolean>("events.length === 1");
      },
      { intervalMs: 1_000, describe: "the missed event" },
    );
    await insert("after");
    await waitFor(page, "events.length === 2");
    expect(await page.evaluate("events.map(({ data }) => data.body)")).toEqual(["missed", "after"]);
    expect(await page.evaluate("[statuses, resets]")).toEqual([
      ["connecting", "live", "reconnecting", "live"],
      [],
    ]);
  });

  it("goes on for other listeners when one throws, and the page is told", async () => {
    const { page, errors } = await openPage("plain");
    await page.evaluate('void db.realtime.subscribe("messages", () => { throw new Error("of the page"); })');
    await waitFor(page, 'statuses.at(-1) === "live"');
    await insert("one");
    await insert("two");
    await waitFor(page, "events.length === 2");
    await until(() => errors.length === 2);
    expect(errors).toEqual(["Error: of the page", "Error: of the page"]);
  });

  it("refuses an API key", async () => {
    const { page } = await openPage("plain");
    const refusal = `(() => {
      try { createClient({ apiKey: "flc_secret_x", baseUrl: location.origin }); } catch (error) { return [error.code, error.message]; }
    })()`;
    expect(await page.evaluate(refusal)).toEqual(["invalid_options", expect.stringContaining("getToken")]);
  });
});

describe("the SDK in React's strict mode", () => {
  it("opens one connection and one subscription for the two mounts", async () => {
    const { page, errors, sent, sockets } = await openPage("react");
    await waitFor(page, 'document.querySelector("#live") !== null');
    expect(await page.evaluate("mounts")).toBe(2);
    await insert("only once");
    await waitFor(page, 'document.querySelector("#live").textContent !== ""');
    await insert("last");
    await waitFor(page, 'document.querySelector("#live").textContent.includes("last")');
    expect(await page.evaluate('document.querySelector("#live").textContent')).toBe("only once, last");
    expect(sockets.length).toBe(1);
    expect(sent.map((text): unknown => JSON.parse(text))).toEqual([
      { type: "subscribe", id: "1", collection: "messages" },
    ]);
    expect(errors).toEqual([]);
  });

  it("shows a list in several components by one subscription, and follows its changes", async () => {
    await messages.server.database.query("delete from messages");
    await insert("one");
    await insert("two");
    const { page, errors, sent, sockets } = await openPage("react-list");
    const text = (id: string): string => `document.querySelector("#${id}")?.textContent`;
    await waitFor(page, `${text("store")} === "live: two, one"`);
    await waitFor(page, `${text("effect")} === "one, two"`);
    expect(await page.evaluate("mounts")).toBe(2);
    await messages.server.database.query("update messages set body = 'won' where body = 'one'");
    await insert("three");
    await waitFor(page, `${text("store")} === "live: three, two, won"`);
    await waitFor(page, `${text("effect")} === "won, two, three"`);
    // A reset: what is shown is fetched anew.
    await messages.server.database.query("truncate messages");
    await insert("four");
    await waitFor(page, `${text("store")} === "live: four"`);
    await waitFor(page, `${text("effect")} === "four"`);
    await page.evaluate("hide()");
    await waitFor(page, 'document.querySelector("#root").textContent === "nothing"');
    expect(sockets.length).toBe(1);
    expect(sent.map((message): unknown => JSON.parse(message))).toEqual([
      { type: "subscribe", id: "1", collection: "messages", snapshot: true },
    ]);
    expect(errors).toEqual([]);
  });
});
