import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MongoClient, MongoServerError } from "mongodb";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** How a test's own server is started. */
export interface OwnMongoOptions {
  /** Nothing that was acknowledged is lost by a kill. Slower; default true. */
  readonly syncOnCommit?: boolean;
  /** More arguments of the program. */
  readonly args?: readonly string[];
}

/** A MongoDB server that belongs to one test or run: it is not restarted by itself. */
export interface TestMongo {
  /** Without a database's name. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server's process at once (default SIGKILL) and resolves once it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again, on the same folder and port, with more arguments from then on where they are given. */
  start(moreArgs?: readonly string[]): Promise<void>;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;

const { folder, program }: { readonly folder: string; readonly program: string } = JSON.parse(
  readFileSync(new URL("mongo-stand-in.json", import.meta.url), "utf8"),
);
const programPath = join(fileURLToPath(new URL("../..", import.meta.url)), folder, program);

/** Whether a test can start a server of its own, to kill it; not where MONGODB_URL took the place of the install. */
export const canStartMongo: boolean = existsSync(programPath);

/** Starts a server as a process of its own, and waits until it answers. */
export async function startMongo(options: OwnMongoOptions = {}): Promise<TestMongo> {
  const { syncOnCommit = true, args = [] } = options;
  if (!canStartMongo) throw new Error("There is no server for the MongoDB tests: run `npm test` once.");
  const folderPath = await mkdtemp(join(tmpdir(), "paperdb-test-mongo-"));
  const port = await freePort();
  const url = `mongodb://127.0.0.1:${String(port)}/?directConnection=true`;
  const programArgs = ["--host", "127.0.0.1", "--port", String(port)];
  programArgs.push("--storage-path", folderPath, "--log-level", "ERROR", "--oplog-max-entries", "1000000");
  if (syncOnCommit) programArgs.push("--sync-on-commit");
  programArgs.push(...args);

  const launch = async (): Promise<ChildProcess> => {
    const child = spawn(programPath, programArgs, { cwd: folderPath, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
    await until(() => child.exitCode !== null || answers(url), {
      timeoutMs: START_TIMEOUT_MS,
      describe: () => `an answer of the MongoDB server. It said: ${said}`,
    });
    if (child.exitCode !== null) throw new Error(`The MongoDB server ended at once. It said: ${said}`);
    return child;
  };
  let child = await launch();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return {
    url,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    kill: (signal = "SIGKILL") => end(signal),
    async start(moreArgs = []) {
      programArgs.push(...moreArgs);
      child = await launch();
    },
    async stop() {
      await end("SIGKILL");
      await rm(folderPath, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 500, socketTimeoutMS: 2000 });
  try {
    await client.db("admin").command({ ping: 1 });
    return true;
  } catch (error) {
    // One that asks for a password is there.
    return error instanceof MongoServerError && error.codeName === "Unauthorized";
  } finally {
    await client.close();
  }
}
