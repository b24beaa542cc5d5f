import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { startPageServer, type PageServer } from "../support/browser-page-server.ts";
import { RunningCommand, type CommandResult } from "../support/command-line.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";

/** The seed's code, character for character. */
const SEED = new URL("seed/", import.meta.url);
const REPOSITORY = new URL("../../", import.meta.url);
const STOP = "// Stop listening";
const CONNECT = "// Connect directly";

let messages: MessagesServer;
let pages: PageServer;
let browser: Browser;
/** A folder outside of the repository, with the package as npm would install it. */
let folder: string;
const commands: RunningCommand[] = [];

async function readSnippet(name: string): Promise<string> {
  return toThisServer(await readFile(new URL(`${name}.txt`, SEED), "utf8"));
}

/** Puts this server's host in the place of the seed's. Nothing else is changed. */
function toThisServer(snippet: string): string {
  return snippet
    .replaceAll("https://api.paperdb.app", messages.url)
    .replaceAll("wss://realtime.paperdb.app", messages.url.replace("http", "ws"));
}

async function run(program: string, name: string): Promise<RunningCommand> {
  const file = join(folder, name);
  await writeFile(file, program);
  const command = new RunningCommand(process.execPath, [file], {
    cwd: folder,
    env: { PAPERDB_API_KEY: messages.acme.secretKey },
  });
  commands.push(command);
  return command;
}

async function query(sql: string): Promise<string> {
  const { rows } = await messages.server.database.query<{ id: string }>(sql);
  return rows[0]?.id ?? "";
}

/** Inserts rows until the program has printed something: nothing in the snippet tells when it is live. */
async function insertUntil(isSeen: () => unknown): Promise<void> {
  await until(
    async () => {
      await query("insert into messages (tenant_id, body) values ('acme', 'are you there?')");
      return isSeen();
    },
    { intervalMs: 200, describe: "the first message" },
  );
}

beforeAll(async () => {
  [browser, pages] = await Promise.all([launchBrowser(), startPageServer(() => "<!doctype html>")]);
  messages = await MessagesServer.start({ cors: { origins: [pages.origin] } });
  folder = await mkdtemp(join(tmpdir(), "paperdb-test-seed-"));
  await mkdir(join(folder, "node_modules"));
  for (const name of ["paperdb", "ws"]) {
    await symlink(
      fileURLToPath(new URL(`node_modules/${name}`, REPOSITORY)),
      join(folder, "node_modules", name),
    );
  }
});

afterEach(async () => {
  for (const command of commands.splice(0)) await command.end("SIGKILL");
});

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await messages?.close();
  await rm(folder, { recursive: true, force: true });
});

describe("the seed's first snippet, subscribing by the SDK", () => {
  it("runs, ends by itself, and says nothing", async () => {
    const command = await run(await readSnippet("subscribe"), "subscribe.mjs");
    expect(await waitForEnd(command)).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("logs inserts, updates and deletes while it listens", async () => {
    const [listening = ""] = (await readSnippet("subscribe")).split(STOP);
    const command = await run(listening, "listen.mjs");
    await insertUntil(() => command.stdout.includes("New message:"));
    const id = await query("insert into messages (tenant_id, body) values ('acme', 'hello') returning id");
    await query(`update messages set body = 'bye' where id = ${id}`);
    await query(`delete from messages where id = ${id}`);
    await until(() => command.stdout.includes("Message deleted:"));
    const lines = command.stdout.trim().split("\n").slice(-3);
    expect(lines).toEqual([
      `New message: { id: ${id}, tenant_id: 'acme', body: 'hello' }`,
      `Message updated: { id: ${id}, tenant_id: 'acme', body: 'bye' }`,
      `Message deleted: { id: ${id}, tenant_id: 'acme', body: 'bye' }`,
    ]);
    expect(command.stderr).toBe("");
  });
});

describe("the seed's second snippet, a raw connection with a token", () => {
  /** What a raw connection must have got of the rows that `writeRows` writes. */
  function expectedOf(id: string): unknown[] {
    const data = { id: Number(id), tenant_id: "acme", body: "hello" };
    return [
      { type: "insert", collection: "messages", data },
      { type: "update", collection: "messages", data: { ...data, body: "bye" } },
      { type: "delete", collection: "messages", data: { ...data, body: "bye" } },
      {
        type: "insert",
        collection: "notifications",
        data: { id: expect.any(Number), tenant_id: "acme", body: "end" },
      },
    ];
  }

  async function writeRows(): Promise<string> {
    const id = await query("insert into messages (tenant_id, body) values ('acme', 'hello') returning id");
    await query(`update messages set body = 'bye' where id = ${id}`);
    await query(`delete from messages where id = ${id}`);
    await query("insert into messages (tenant_id, body) values ('other', 'not for acme')");
    await query("insert into notifications (tenant_id, body) values ('acme', 'end')");
    return id;
  }

  it("gets exactly the seed's shape with the package ws", async () => {
    const [client = ""] = (await readSnippet("subscribe")).split("// Subscribe to a collection");
    const program = [
      'import WebSocket from "ws";',
      client,
      await readSnippet("connect-directly"),
      'ws.on("open", () => console.log("open"));',
      'ws.on("message", (text) => console.log(String(text)));',
    ].join("\n");
    const command = await run(program, "connect.mjs");
    await command.waitFor("open");
    const id = await writeRows();
    await until(() => command.stdout.includes("notifications"));
    const texts = command.stdout.trim().split("\n").slice(1);
    expect(texts.map((text): unknown => JSON.parse(text))).toEqual(expectedOf(id));
    expect(command.stderr).toBe("");
  });

  it("gets exactly the seed's shape in Chromium", async () => {
    const snippet = await readSnippet("connect-directly");
    const connecting = snippet.slice(snippet.indexOf(CONNECT));
    const token = await messages.mint();
    const page = await browser.newPage();
    await page.goto(pages.origin);
    await page.evaluate(`(() => {
      const token = ${JSON.stringify(token)};
      ${connecting}
      window.texts = [];
      ws.onopen = () => { window.isOpen = true; };
      ws.onmessage = ({ data }) => window.texts.push(data);
    })()`);
    await until(() => page.evaluate<boolean>("window.isOpen === true"));
    const id = await writeRows();
    const texts = await until(async () => {
      const all = await page.evaluate<string[]>("window.texts");
      return all.some((text) => text.includes("notifications")) ? all : undefined;
    });
    expect(texts.map((text): unknown => JSON.parse(text))).toEqual(expectedOf(id));
    await page.close();
  });
});

describe("the seed's third snippet, the token API", () => {
  it("answers with a token", async () => {
    const snippet = (await readSnippet("token-api")).replace("your_api_key", messages.acme.secretKey);
    const command = new RunningCommand("bash", ["-c", snippet]);
    commands.push(command);
    const { stdout } = await waitForEnd(command);
    expect(JSON.parse(stdout)).toEqual({
      token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });
});

/** Its own end: the signal comes too late for it. */
async function waitForEnd(command: RunningCommand): Promise<CommandResult> {
  await until(() => command.child.exitCode !== null, { describe: "its end" });
  return command.end("SIGTERM");
}
