import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { startPageServer, type PageServer } from "../support/browser-page-server.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";

/** Keeps all that came where the test can look at it. */
const PAGE = `<!doctype html><title>Compression</title>
<script>
window.texts = [];
window.isOpen = false;
window.openStream = (url) => {
  const source = new EventSource(url);
  source.addEventListener('ready', () => { window.isOpen = true; });
  source.onmessage = ({ data }) => window.texts.push(JSON.parse(data).document.body);
  source.onerror = () => window.texts.push('an error');
};
window.openSocket = (url) => {
  window.socket = new WebSocket(url, 'paperdb.v1');
  socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', id: 'a', collection: 'messages' }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'ready') window.isOpen = true;
    if (message.type === 'event') window.texts.push(message.event.data.body);
  };
  socket.onclose = ({ code }) => window.texts.push('closed by ' + code);
};
</script>`;

/** Some are compressed, some are too small for it. */
const BODIES = ["short", "the same again and again ".repeat(200), "日本語 🦊 ".repeat(300), "the last"];

let browser: Browser;
let pages: PageServer;
let messages: MessagesServer;
let page: Page;

beforeAll(async () => {
  [browser, pages] = await Promise.all([launchBrowser(), startPageServer(() => PAGE)]);
  messages = await MessagesServer.start({
    cors: { origins: [pages.origin] },
    compression: { enabled: true, maxTimePercent: 100 },
  });
});

beforeEach(async () => {
  page = await browser.newPage();
  await page.goto(pages.origin);
});

afterEach(() => page.close());

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await messages?.close();
});

/** Adds messages, the next one when the page has seen the one before; then many at once. */
async function expectAllSeen(): Promise<void> {
  await until(() => page.evaluate("window.isOpen"), { describe: "a page that is subscribed" });
  const seen = async (): Promise<string[]> => page.evaluate("window.texts");
  for (const [index, body] of BODIES.entries()) {
    await messages.add("messages", "acme", body);
    await messages.add("messages", "other", `theirs: ${body}`);
    await until(async () => (await seen()).length > index, { describe: `message ${String(index)}` });
  }
  const many = Array.from({ length: 200 }, (_, index) => `${String(index)} ${BODIES[1] ?? ""}`);
  await messages.add("messages", "acme", ...many);
  await until(async () => (await seen()).length >= BODIES.length + many.length, { describe: "all messages" });
  expect(await seen()).toEqual([...BODIES, ...many]);
}

it("is read by EventSource of Chromium, each event as it comes", async () => {
  const answered = page.waitForResponse((response) => response.url().includes("/v1/events/subscribe"));
  const query = `collection=messages&apikey=${messages.acme.anonKey}`;
  await page.evaluate(`openStream(${JSON.stringify(`${messages.url}/v1/events/subscribe?${query}`)})`);
  expect((await answered).headers()["content-encoding"]).toBe("gzip");
  await expectAllSeen();
});

it("is read by WebSocket of Chromium, each event as it comes", async () => {
  const url = `${messages.url.replace("http", "ws")}/realtime?token=${await messages.mint()}`;
  await page.evaluate(`openSocket(${JSON.stringify(url)})`);
  await expectAllSeen();
  expect(await page.evaluate("socket.extensions")).toContain("permessage-deflate");
});
