import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { RunningCommand } from "../support/command-line.ts";
import { freePort } from "../support/free-port.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/chat", import.meta.url));
const PASSWORD = "chat-example-password";

let browser: Browser;
let example: RunningCommand;
let dataDir: string;
let database: Client;
let url: string;

beforeAll(async () => {
  browser = await launchBrowser();
  dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-chat-"));
  const port = await freePort();
  const pgPort = await freePort();
  url = `http://127.0.0.1:${String(port)}`;
  const env = {
    PORT: String(port),
    REALTIME_PORT: String(await freePort()),
    PG_PORT: String(pgPort),
    DATA_DIR: dataDir,
    PAPERDB_PG_PASSWORD: PASSWORD,
  };
  example = new RunningCommand(process.execPath, ["start.js"], { env, cwd: EXAMPLE });
  await example.waitFor("Open these");
  database = new Client({
    connectionString: `postgres://paperdb:${PASSWORD}@127.0.0.1:${String(pgPort)}/paperdb`,
  });
  await database.connect();
});

afterAll(async () => {
  await database?.end();
  await example?.end("SIGTERM");
  await browser?.close();
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
});

async function open(team: string, author: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${url}/${team}`);
  await page.getByText("live", { exact: true }).waitFor();
  await page.getByPlaceholder("Your name").fill(author);
  return page;
}

async function send(page: Page, text: string): Promise<void> {
  await page.getByPlaceholder("Say something").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

it("shows what anybody writes in every window of the team, and in no other's", async () => {
  const [ann, ben] = [await open("acme", "ann"), await open("acme", "ben")];
  const other = await open("globex", "gus");
  await send(ann, "hello <b>world</b>");
  for (const page of [ann, ben]) await page.getByText("ann hello <b>world</b>", { exact: true }).waitFor();
  await database.query("insert into messages (tenant_id, author, text) values ('globex', 'psql', 'hi gus')");
  await other.getByText("psql hi gus", { exact: true }).waitFor();
  await database.query("delete from messages where tenant_id = 'acme'");
  for (const page of [ann, ben]) await expect.poll(() => page.locator("li").count()).toBe(0);
  expect(await other.locator("li").allInnerTexts()).toEqual(["psql hi gus"]);
});

it("tells the others who is typing", async () => {
  const [ann, ben] = [await open("acme", "ann"), await open("acme", "ben")];
  // Once is enough, but the words go away after a while.
  await expect
    .poll(
      async () => {
        await ann.getByPlaceholder("Say something").pressSequentially("x");
        return ben.locator("#typing").innerText();
      },
      { interval: 300 },
    )
    .toBe("ann is typing …");
  expect(await ann.locator("#typing").innerText()).toBe("");
});
