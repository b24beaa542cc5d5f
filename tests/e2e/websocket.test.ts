import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { startPageServer, type PageServer } from "../support/browser-page-server.ts";
import { FRAMED_DIGESTS, FRAMED_END, startFrameServer } from "../support/frame-server.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";
import type { MessageDigest } from "../support/websocket-reader.ts";

/** Keeps all that came where the test can look at it. */
const PAGE = `<!doctype html><title>WebSocket</title>
<script>
window.texts = [];
window.connect = (url, protocols) => {
  window.ended = undefined;
  const socket = new WebSocket(url, protocols);
  window.socket = socket;
  socket.onmessage = ({ data }) => window.texts.push(data);
  socket.onclose = ({ code, reason, wasClean }) => { window.ended = { code, reason, wasClean }; };
};
window.digests = () => Promise.all(window.texts.map(async (text) => {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { bytes: bytes.length, sha256: Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}));
</script>`;

let browser: Browser;
let pages: PageServer;
let messages: MessagesServer;
let page: Page;

beforeAll(async () => {
  [browser, pages] = await Promise.all([launchBrowser(), startPageServer(() => PAGE)]);
  messages = await MessagesServer.start({ cors: { origins: [pages.origin] } });
});

afterEach(() => page.close());

afterAll(async () => {
  await browser.close();
  await pages.close();
  await messages.close();
});

async function connect(url: string, protocol?: string): Promise<void> {
  page = await browser.newPage();
  await page.goto(pages.origin);
  await page.evaluate(`connect(${JSON.stringify([url, protocol].filter(Boolean)).slice(1, -1)})`);
}

async function ended(): Promise<{ code: number; reason: string; wasClean: boolean }> {
  return until(() => page.evaluate("window.ended"), { describe: "the close" });
}

async function texts(count: number): Promise<string[]> {
  return until(
    async () => {
      const all: string[] = await page.evaluate("window.texts");
      return all.length >= count ? all : undefined;
    },
    { describe: `${count} messages` },
  );
}

function send(message: unknown): Promise<void> {
  return page.evaluate(`socket.send(${JSON.stringify(JSON.stringify(message))})`);
}

describe("a WebSocket of Chromium", () => {
  it("reads frames of every size and text, with pings between them, and the close frame", async () => {
    const frames = await startFrameServer();
    try {
      await connect(frames.url);
      expect(await ended()).toEqual({ ...FRAMED_END, wasClean: true });
      const digests: MessageDigest[] = await page.evaluate("window.digests()");
      expect(digests).toEqual(FRAMED_DIGESTS);
    } finally {
      await frames.close();
    }
  });

  it("gets exactly {type, collection, data} without a subprotocol, and the code when it is ended", async () => {
    const token = await messages.mint({ collections: ["messages"] });
    await connect(`${messages.url.replace("http", "ws")}?token=${encodeURIComponent(token)}`);
    await until(() => page.evaluate("socket.readyState === WebSocket.OPEN"));
    await messages.add("messages", "other", "theirs");
    await messages.add("messages", "acme", "日本語 🦊");
    const [text = ""] = await texts(1);
    expect(JSON.parse(text)).toEqual({
      type: "insert",
      collection: "messages",
      data: { id: expect.any(Number), tenant_id: "acme", body: "日本語 🦊" },
    });
    await messages.server.admin("PATCH", "tenants/acme", { plan: "free" });
    expect(await ended()).toMatchObject({ code: 4001, wasClean: true });
    await messages.server.admin("PATCH", "tenants/acme", { plan: "pro" });
  });

  it("speaks paperdb.v1", async () => {
    const token = await until(() => messages.mint().catch(() => undefined));
    await connect(`${messages.url.replace("http", "ws")}/realtime?token=${token}`, "paperdb.v1");
    await until(() => page.evaluate("socket.readyState === WebSocket.OPEN"));
    expect(await page.evaluate("socket.protocol")).toBe("paperdb.v1");
    await send({ type: "subscribe", id: "a", collection: "messages" });
    await texts(1);
    await messages.add("messages", "acme", "hello");
    const all = (await texts(2)).map((text) => JSON.parse(text) as unknown);
    expect(all).toMatchObject([
      { type: "ready", id: "a" },
      { type: "event", event: { type: "insert", data: { body: "hello" } } },
    ]);
    await page.evaluate("socket.close(3000, 'enough')");
    expect(await ended()).toEqual({ code: 3000, reason: "enough", wasClean: true });
  });

  it("of a page whose origin is not configured is refused", async () => {
    const elsewhere = await startPageServer(() => PAGE);
    try {
      page = await browser.newPage();
      await page.goto(elsewhere.origin);
      const token = await messages.mint();
      await page.evaluate(`connect("${messages.url.replace("http", "ws")}/?token=${token}")`);
      expect(await ended()).toMatchObject({ code: 1006, wasClean: false });
    } finally {
      await elsewhere.close();
    }
  });
});
