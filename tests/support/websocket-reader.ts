import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A text message, as far as a test compares it. */
export interface MessageDigest {
  readonly bytes: number;
  readonly sha256: string;
}

/** What a client has read of one connection. */
interface ReadConnection {
  readonly messages: readonly MessageDigest[];
  /** Of the server's close frame. */
  readonly code: number;
  readonly reason: string;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { folder }: { readonly folder: string } = JSON.parse(
  readFileSync(new URL("python-websockets.json", import.meta.url), "utf8"),
);

/** The digest of a message's UTF-8 form. */
export function digestOf(text: string): MessageDigest {
  const bytes = Buffer.from(text);
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** A connection of the Python library `websockets`. */
export interface PythonReader {
  /** Resolves once it is open, and has sent its messages. */
  readonly opened: Promise<void>;
  /** Resolves once the server has closed it. */
  readonly result: Promise<ReadConnection>;
  end(): void;
}

/** Connects and reads to the end. @param compressed - whether to offer `permessage-deflate`, which must be taken. */
export function readWithPython(
  url: string,
  protocol?: string,
  messages: readonly unknown[] = [],
  compressed = false,
): PythonReader {
  const script = fileURLToPath(new URL("websocket-reader.py", import.meta.url));
  const coding = compressed ? "deflate" : "plain";
  const args = [script, coding, url, ...(protocol === undefined ? [] : [protocol])];
  const child = spawn(join(ROOT, folder, "bin/python"), args, { stdio: ["pipe", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdin.end(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`The Python client ended with ${code}: ${stderr.slice(-2000)}`));
    });
  });
  const opened = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (stdout.startsWith("open\n")) resolve();
    });
    exited.catch(reject);
  });
  const result = exited.then((): ReadConnection => JSON.parse(stdout.slice("open\n".length)));
  // Whoever waits for the other one is told.
  opened.catch(() => undefined);
  result.catch(() => undefined);
  return { opened, result, end: () => child.kill("SIGKILL") };
}
