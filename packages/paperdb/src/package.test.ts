import { execFile } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";

const PACKAGE = fileURLToPath(new URL("../", import.meta.url));
const TSC = fileURLToPath(new URL("../../../node_modules/typescript/bin/tsc", import.meta.url));
const MAX_GZIP_BYTES = 7_500;
const run = promisify(execFile);

/** A folder with the package as npm would install it: alone. */
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "paperdb-test-package-"));
  const installed = join(folder, "node_modules/paperdb");
  await mkdir(installed, { recursive: true });
  for (const name of ["package.json", "dist", "cjs"]) {
    await cp(join(PACKAGE, name), join(installed, name), { recursive: true });
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function runProgram(name: string, program: string, parameters: string[] = []): Promise<string> {
  await writeFile(join(folder, name), program);
  const { stdout } = await run(process.execPath, [join(folder, name), ...parameters], { cwd: folder });
  return stdout.trim();
}

async function bundle(): Promise<string> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(PACKAGE, "src/index.ts")],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    metafile: true,
  });
  const strangers = Object.keys(metafile.inputs).filter((path) => !path.includes("packages/paperdb/src/"));
  expect(strangers).toEqual([]);
  return outputFiles[0]?.text ?? "";
}

test("is as small as it says: the bundle, minified and gzipped", async () => {
  const bytes = gzipSync(await bundle(), { level: 9 }).length;
  process.stdout.write(`paperdb: ${bytes} bytes minified and gzipped\n`);
  expect(bytes).toBeLessThan(MAX_GZIP_BYTES);
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  const [, stated] = /(\d+\.\d) kB minified and gzipped/.exec(readme) ?? [];
  expect(Math.abs(Number(stated) * 1_000 - bytes)).toBeLessThanOrEqual(100);
});

test("is published as publint wants it", async () => {
  const { messages, pkg } = await publint({ pkgDir: PACKAGE, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test("loads with import", async () => {
  const program =
    'import { createClient, PaperDBError } from "paperdb";\nconsole.log(typeof createClient, typeof PaperDBError);';
  expect(await runProgram("load.mjs", program)).toBe("function function");
});

test("loads with require", async () => {
  const program =
    'const { createClient, PaperDBError } = require("paperdb");\nconsole.log(typeof createClient, typeof PaperDBError);';
  expect(await runProgram("load.cjs", program)).toBe("function function");
});

const SUBSCRIBE = `
const db = createClient({ baseUrl: process.argv[2], getToken: () => "a token" });
db.realtime.subscribe("messages", () => undefined, {
  onError: ({ code, message }) => { console.log(code, message); db.close(); },
});`;
const IMPORTS = {
  mjs: 'import { createClient } from "paperdb";',
  cjs: 'const { createClient } = require("paperdb");',
};

test.each(["mjs", "cjs"] as const)(
  "says what is missing where there is no WebSocket (.%s)",
  async (extension) => {
    const program = `${IMPORTS[extension]}\ndelete globalThis.WebSocket;${SUBSCRIBE}`;
    expect(await runProgram(`missing.${extension}`, program, ["http://127.0.0.1:9"])).toMatch(
      /^websocket_unavailable .*npm install ws/,
    );
  },
);

test.each(["mjs", "cjs"] as const)(
  "uses the package ws where there is no WebSocket (.%s)",
  async (extension) => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    let url: string | undefined;
    server.on("connection", (socket, request) => {
      url = `${socket.protocol} ${request.url ?? ""}`;
      socket.close(4008, "that is all");
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const modules = join(folder, "with-ws/node_modules");
    await mkdir(modules, { recursive: true });
    await cp(join(folder, "node_modules/paperdb"), join(modules, "paperdb"), { recursive: true });
    await cp(fileURLToPath(new URL("../../../node_modules/ws", import.meta.url)), join(modules, "ws"), {
      recursive: true,
    });
    const program = `${IMPORTS[extension]}\ndelete globalThis.WebSocket;${SUBSCRIBE}`;
    const output = await runProgram(`with-ws/use.${extension}`, program, [
      `http://127.0.0.1:${address.port}`,
    ]);
    expect([output, url]).toEqual(["connection_closed that is all", "paperdb.v1 /?token=a%20token"]);
  },
);

test.each(["mts", "cts"])(
  "has types of its own for a .%s program, without the library check left out",
  async (extension) => {
    const program = [
      'import { createClient, type ChangeEvent, type DocumentList, PaperDBError } from "paperdb";',
      "interface Message { readonly body: string }",
      'const db = createClient<{ messages: Message }>({ apiKey: undefined, baseUrl: "https://test", getToken: async () => "" });',
      'const off: () => void = db.realtime.subscribe("messages", (event: ChangeEvent<"messages", Message>) => { event.data.body.trim(); });',
      "off();",
      "// @ts-expect-error there is no such collection",
      'db.realtime.subscribe("mesages", () => undefined);',
      'const list: DocumentList<Message> = db.realtime.list("messages", { where: { room: 1 }, compare: (a, b) => a.body.length - b.body.length, onChange: (all) => all.map(({ body }) => body) });',
      "export const bodies: string[] = list.current.map(({ body }) => body.trim());",
      "const { subscribe, close } = list;",
      "subscribe(close);",
      "// @ts-expect-error documents are not to be changed in place",
      "list.current.push({ body: '' });",
      "export const code: string = new PaperDBError('a', 'b').code;",
    ].join("\n");
    const file = join(folder, `typed.${extension}`);
    await writeFile(file, program);
    const options = [
      "--noEmit",
      "--strict",
      "--exactOptionalPropertyTypes",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--lib",
      "es2023,dom",
      "--types",
      "",
    ];
    const result = await run(process.execPath, [TSC, ...options, file], { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    );
    expect(result.stdout).toBe("");
  },
);
