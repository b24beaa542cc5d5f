import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { RunningCommand } from "../support/command-line.ts";
import { freePort } from "../support/free-port.ts";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { until } from "../support/until.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/mongoose", import.meta.url));

let mongo: TestMongoDatabase;
let browser: Browser;
let example: RunningCommand;
let dataDir: string;
let url: string;

beforeAll(async () => {
  mongo = await createMongoDatabase();
  browser = await launchBrowser();
  dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-example-"));
  const port = await freePort();
  url = `http://127.0.0.1:${String(port)}`;
  const env = {
    MONGODB_URL: mongo.url,
    PORT: String(port),
    REALTIME_PORT: String(await freePort()),
    PG_PORT: String(await freePort()),
    DATA_DIR: dataDir,
  };
  example = new RunningCommand(process.execPath, ["start.js"], { env, cwd: EXAMPLE });
  await example.waitFor("Open these");
});

afterAll(async () => {
  await example?.end("SIGTERM");
  await browser?.close();
  await mongo?.drop();
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
});

async function open(tenant: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${url}/${tenant}`);
  await page.getByText("live", { exact: true }).waitFor();
  return page;
}

/** The list's lines, without the words of the buttons. */
async function shown(page: Page): Promise<readonly string[]> {
  const lines = await page.locator("li").allInnerTexts();
  return lines.map((line) => line.replaceAll(/\s*(?:delete|♥)\s*/g, " ").trim());
}

async function waitUntilShown(page: Page, lines: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  await until(
    async () => {
      last = await shown(page);
      return JSON.stringify(last) === JSON.stringify(lines);
    },
    { describe: () => `${JSON.stringify(lines)}, got ${JSON.stringify(last)}` },
  );
}

it("shows what mongoose writes in every window of the tenant, and in no other's", async () => {
  const [first, second, other] = [await open("alice"), await open("alice"), await open("bob")];
  await first.getByPlaceholder("Say something").fill("hello <b>world</b>");
  await first.getByRole("button", { name: "Send" }).click();
  for (const page of [first, second]) await waitUntilShown(page, ["hello <b>world</b> 0"]);
  await second.getByRole("button", { name: "♥" }).click();
  for (const page of [first, second]) await waitUntilShown(page, ["hello <b>world</b> 1"]);
  await mongo.insert("messages", { tenantId: "bob", text: "from elsewhere", likes: 5 });
  await waitUntilShown(other, ["from elsewhere 5"]);
  const late = await open("alice");
  await waitUntilShown(late, ["hello <b>world</b> 1"]);
  await first.getByRole("button", { name: "delete" }).click();
  for (const page of [first, second, late]) await waitUntilShown(page, []);
  expect(await shown(other)).toEqual(["from elsewhere 5"]);
});
