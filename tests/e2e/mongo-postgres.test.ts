import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { startPageServer, type PageServer } from "../support/browser-page-server.ts";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";

let mongo: TestMongoDatabase;
let database: TestDatabase;
let server: TestServer;
let pages: PageServer;
let browser: Browser;

/** Two lists: one of a PostgreSQL table, one of a MongoDB collection. */
function renderPage(query: URLSearchParams): string {
  return `<!doctype html><title>todos and notes</title>
<h2>todos</h2><ol id="todos"></ol><h2>notes</h2><ol id="notes"></ol>
<script>
for (const collection of ['todos', 'notes']) {
  const list = document.getElementById(collection)
  const show = (text) => list.append(Object.assign(document.createElement('li'), { textContent: text }))
  const url = new URL('${query.get("api")}/v1/events/subscribe')
  url.searchParams.set('collection', collection)
  url.searchParams.set('apikey', '${query.get("key")}')
  const es = new EventSource(url)
  es.addEventListener('ready', () => show('ready'))
  es.onmessage = (e) => { const { type, document } = JSON.parse(e.data); show(type + ' ' + document.title) }
}
</script>`;
}

beforeAll(async () => {
  mongo = await createMongoDatabase();
  await mongo.createCollection("notes");
  database = await createDatabase();
  await database.query("create table todos (id int primary key, tenant_id text, title text)");
  server = await startTestServer({ mongodbUrl: mongo.url }, database);
  pages = await startPageServer(renderPage);
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await server?.close();
  await database?.drop();
  await mongo?.drop();
});

async function waitForLines(page: Page, list: string, lines: readonly string[]): Promise<void> {
  const items = page.locator(`#${list} li`);
  await until(async () => (await items.count()) >= lines.length, {
    describe: `${lines.length} lines of ${list}`,
  });
  expect(await items.allInnerTexts()).toEqual(lines);
}

it("one page shows a table of PostgreSQL and a collection of MongoDB, both live, of its tenant", async () => {
  const alice = await server.createTenant("alice");
  const page = await browser.newPage();
  const query = new URLSearchParams({ api: server.url, key: alice.anonKey });
  await page.goto(`${pages.origin}/?${query.toString()}`);
  await waitForLines(page, "todos", ["ready"]);
  await waitForLines(page, "notes", ["ready"]);
  await mongo.insert("notes", { _id: 1, tenantId: "bob", title: "his" });
  await database.query("insert into todos values (1, 'bob', 'his')");
  const notes = mongo.db.collection<{ _id: number }>("notes");
  await mongo.insert("notes", { _id: 2, tenantId: "alice", title: "a note" });
  await database.query("insert into todos values (2, 'alice', 'a todo')");
  await waitForLines(page, "notes", ["ready", "insert a note"]);
  await waitForLines(page, "todos", ["ready", "insert a todo"]);
  await database.query("update todos set title = 'done' where id = 2");
  await notes.updateOne({ _id: 2 }, { $set: { title: "read" } });
  await waitForLines(page, "notes", ["ready", "insert a note", "update read"]);
  await database.query("delete from todos where id = 2");
  await notes.deleteOne({ _id: 2 });
  await waitForLines(page, "notes", ["ready", "insert a note", "update read", "delete read"]);
  await waitForLines(page, "todos", ["ready", "insert a todo", "update done", "delete done"]);
});
