import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, JSHandle, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { startPageServer, type PageServer } from "../support/browser-page-server.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import type { ChangeMessage } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let server: TestServer;
let proxy: TcpProxy;
let pages: PageServer;
let browser: Browser;
let alice: TestTenant;
let bob: TestTenant;

/** The seed's snippet, its host and key filled in; and a list of what came, to look at. */
function renderPage(query: URLSearchParams): string {
  return `<!doctype html><title>todos</title>
<script>
const url = new URL('${query.get("api")}/v1/events/subscribe')
url.searchParams.set('collection', 'todos')
url.searchParams.set('apikey', '${query.get("key")}')   // header still wins if both are present
${query.get("more") ?? ""}
const es = new EventSource(url)
es.onmessage = (e) => console.log(JSON.parse(e.data))
</script>
<h1>todos of ${query.get("name")}</h1><ol></ol>
<script>
const show = (text) => document.querySelector('ol').append(Object.assign(document.createElement('li'), { textContent: text }))
es.addEventListener('message', (e) => { const { type, document: row } = JSON.parse(e.data); show(type + ': ' + row.title + (row.done ? ' (done)' : '')) })
window.marks = []
for (const name of ['ready', 'reset', 'snapshot', 'error']) es.addEventListener(name, (e) => { window.marks.push({ name, data: e.data }); show('[' + name + ']') })
</script>`;
}

/** A line of the console whose value is on its way. */
const UNREAD: ChangeMessage = { type: "", documentId: "", document: {} };

/** A tab with the page: what its console logged, and how its EventSource fared. */
class Tab {
  readonly page: Page;
  readonly logged: ChangeMessage[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => {
      const [first] = message.args();
      if (message.type() !== "log" || first === undefined) return;
      const place = this.logged.push(UNREAD) - 1;
      void this.#read(first, place);
    });
  }

  /** @param more - what the page's script does with its `url` before it connects. */
  static async open(context: BrowserContext, tenant: TestTenant, more = ""): Promise<Tab> {
    const tab = new Tab(await context.newPage());
    const query = new URLSearchParams({ api: proxy.url, key: tenant.anonKey, name: tenant.id, more });
    await tab.page.goto(`${pages.origin}/?${query.toString()}`);
    await tab.waitForMark("ready", 1);
    return tab;
  }

  async #read(handle: JSHandle, place: number): Promise<void> {
    this.logged[place] = await handle.jsonValue();
  }

  async marks(name: string): Promise<string[]> {
    const marks = await this.page.evaluate<{ name: string; data: string }[]>("window.marks");
    return marks.filter((mark) => mark.name === name).map(({ data }) => data);
  }

  async waitForMark(name: string, count: number): Promise<string[]> {
    return until(
      async () => {
        const marks = await this.marks(name);
        return marks.length >= count ? marks : undefined;
      },
      { describe: `${count} × ${name}` },
    );
  }

  /** Resolves once a change of this title has come: all before it have come then, too. */
  async waitForTitle(title: string): Promise<void> {
    await until(
      () =>
        this.logged.some(({ document }) => document["title"] === title) &&
        this.logged.every((change) => change !== UNREAD),
      {
        describe: () => `the change "${title}", got ${JSON.stringify(this.summary)}`,
      },
    );
  }

  get summary(): string[] {
    return this.logged.map(({ type, document }) => `${type} ${String(document["title"])}`);
  }
}

async function insert(tenant: TestTenant, title: string): Promise<string> {
  const { rows } = await database.query<{ id: string }>(
    "insert into todos (tenant_id, title) values ($1, $2) returning id",
    [tenant.id, title],
  );
  return rows[0]?.id ?? "";
}

beforeAll(async () => {
  database = await createDatabase();
  await database.query(
    "create table todos (id bigint generated always as identity primary key, tenant_id text not null, title text, done boolean not null default false)",
  );
  server = await startTestServer({}, database);
  alice = await server.createTenant("alice");
  bob = await server.createTenant("bob");
  proxy = await startProxy(server.url);
  pages = await startPageServer(renderPage);
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await proxy?.close();
  await server?.close();
  await database?.drop();
});

describe("the seed's EventSource snippet in Chromium", () => {
  let context: BrowserContext;

  beforeEach(async () => {
    context = await browser.newContext();
  });

  afterEach(() => context.close());

  it("logs inserts, updates and deletes, on a page of another origin, each tab its own tenant's", async () => {
    const tab = await Tab.open(context, alice);
    const other = await Tab.open(context, bob);
    const id = await insert(alice, "buy milk");
    await database.query("update todos set done = true where id = $1", [id]);
    await database.query("delete from todos where id = $1", [id]);
    await insert(bob, "end of bob");
    await insert(alice, "end of alice");
    await tab.waitForTitle("end of alice");
    await other.waitForTitle("end of bob");
    const document = { id: Number(id), tenant_id: "alice", title: "buy milk", done: false };
    expect(tab.logged.slice(0, 3)).toEqual([
      { type: "insert", documentId: id, document },
      { type: "update", documentId: id, document: { ...document, done: true } },
      { type: "delete", documentId: id, document: { ...document, done: true } },
    ]);
    expect(tab.summary.slice(3)).toEqual(["insert end of alice"]);
    expect(other.summary).toEqual(["insert end of bob"]);
    await takePicture(tab.page);
  });

  it("comes back by itself when its connection is cut, and has missed nothing", async () => {
    const tab = await Tab.open(context, alice);
    const other = await Tab.open(context, bob);
    await insert(alice, "before");
    await tab.waitForTitle("before");
    await proxy.cut();
    await tab.waitForMark("error", 1);
    const first = await insert(alice, "missed 1");
    await insert(bob, "missed by bob");
    await database.query("update todos set title = 'missed 2' where id = $1", [first]);
    await database.query("delete from todos where id = $1", [first]);
    await proxy.mend();
    await tab.waitForTitle("missed 2");
    await insert(alice, "after");
    await insert(bob, "after for bob");
    await tab.waitForTitle("after");
    await other.waitForTitle("after for bob");
    expect(tab.summary).toEqual([
      "insert before",
      "insert missed 1",
      "update missed 2",
      "delete missed 2",
      "insert after",
    ]);
    expect(other.summary).toEqual(["insert missed by bob", "insert after for bob"]);
    expect(await tab.marks("reset")).toEqual([]);
    const ready = await tab.marks("ready");
    expect(ready.map((data): unknown => JSON.parse(data))).toMatchObject([
      { resumed: false },
      { resumed: true },
    ]);
  });

  it("gets the documents that it asks for first, and again only after a reset", async () => {
    await database.query("delete from todos");
    await insert(alice, "one");
    await insert(bob, "his");
    const two = await insert(alice, "two");
    await database.query("update todos set done = true where id = $1", [two]);
    const tab = await Tab.open(
      context,
      alice,
      "url.searchParams.set('snapshot', 'true'); url.searchParams.set('where', JSON.stringify({ done: false }))",
    );
    await proxy.cut();
    await tab.waitForMark("error", 1);
    await insert(alice, "missed");
    await database.query("update todos set done = false, title = 'two again' where id = $1", [two]);
    await proxy.mend();
    await tab.waitForTitle("two again");
    expect(tab.summary).toEqual(["insert missed", "insert two again"]);
    expect(await tab.marks("reset")).toEqual([]);
    await database.query("truncate todos");
    await tab.waitForMark("ready", 3);
    const snapshots = (await tab.marks("snapshot")).map((data) => {
      const { documents } = JSON.parse(data) as { documents: { title: string }[] };
      return documents.map(({ title }) => title);
    });
    expect(snapshots).toEqual([["one"], []]);
    const ready = await tab.marks("ready");
    expect(ready.map((data) => (JSON.parse(data) as { resumed: boolean }).resumed)).toEqual([
      false,
      true,
      false,
    ]);
  });

  it("comes back by itself when the browser was offline, and has missed nothing", async () => {
    const tab = await Tab.open(context, alice);
    await insert(alice, "online");
    await tab.waitForTitle("online");
    // Chromium's switch fails new requests only, so that the open one is cut besides.
    await context.setOffline(true);
    await proxy.cut();
    await proxy.mend();
    await insert(alice, "offline 1");
    await tab.waitForMark("error", 2);
    await insert(alice, "offline 2");
    expect(proxy.open).toBe(0);
    await context.setOffline(false);
    await insert(alice, "online again");
    await tab.waitForTitle("online again");
    expect(tab.summary).toEqual([
      "insert online",
      "insert offline 1",
      "insert offline 2",
      "insert online again",
    ]);
    expect(await tab.marks("reset")).toEqual([]);
  });

  it("comes back to a server that was restarted, and is told that it may have missed something", async () => {
    const tab = await Tab.open(context, alice);
    await insert(alice, "first server");
    await tab.waitForTitle("first server");
    await proxy.cut();
    await server.close();
    await insert(alice, "nobody is there");
    server = await startTestServer({}, database);
    await proxy.mend(server.url);
    const [reset] = await tab.waitForMark("reset", 1);
    expect(JSON.parse(reset ?? "")).toEqual({ reason: expect.stringMatching(/./) });
    await tab.waitForMark("ready", 2);
    await insert(alice, "second server");
    await tab.waitForTitle("second server");
    expect(tab.summary).toEqual(["insert first server", "insert second server"]);
  });
});

/** For a person to look at: into `SCREENSHOT_DIR` where that is set. */
async function takePicture(page: Page): Promise<void> {
  const given = process.env["SCREENSHOT_DIR"];
  const folder = given ?? (await mkdtemp(join(tmpdir(), "paperdb-test-picture-")));
  try {
    const picture = await page.screenshot({ path: join(folder, "event-source.png") });
    expect(picture.length).toBeGreaterThan(0);
  } finally {
    if (given === undefined) await rm(folder, { recursive: true });
  }
}
