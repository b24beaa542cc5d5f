import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../tests/support/free-port.ts";
import { monotonicMs } from "./clock.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CLI = "packages/server/bin/paperdb-realtime.js";
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
const ANSWER_WITHIN_MS = 10_000;
const POLL_INTERVAL_MS = 5;
const MAX_KEPT_OUTPUT = 4000;

/** How the server under test is started. */
export interface ServerProcessOptions {
  /** As a reader of the README does (`npm start`), or the program behind it. Default `node`. */
  readonly command?: "npm" | "node";
  /** A folder of an earlier start, which stays. Default: a new one, removed with the server. */
  readonly dataDir?: string;
  /** Default: no profile. */
  readonly profileDir?: string | undefined;
  /** Where Node's inspector listens, by which {@link HeapInspector} measures. Default: it does not. */
  readonly inspectPort?: number | undefined;
  /** Of the configuration file, besides what every benchmark has. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** How the server receives the changes of its database. */
export type SourceMode = "notify" | "wal";

/** The configuration of a server whose embedded database is a source of this mode. */
export function sourceConfig(mode: SourceMode): Readonly<Record<string, unknown>> {
  return { sources: [{ kind: "postgres", url: "embedded", mode }] };
}

const running = new Set<ServerProcess>();
process.on("exit", () => {
  for (const server of running) server.signal("SIGTERM");
});

/** The built server in a process of its own, with an embedded database. */
export class ServerProcess {
  readonly url: string;
  readonly databaseUrl: string;
  readonly adminKey: string;
  /** What tokens are signed with. */
  readonly tokenSecret: string;
  /** From the start of the process until `/readyz` answered 200. */
  readyAfterMs = Number.NaN;
  readonly #child: ChildProcess;
  readonly #ownDataDir: string | undefined;
  #output = "";

  private constructor(child: ChildProcess, ports: Ports, secrets: Secrets, ownDataDir: string | undefined) {
    this.#child = child;
    this.#ownDataDir = ownDataDir;
    this.url = `http://127.0.0.1:${ports.http}`;
    this.databaseUrl = `postgres://paperdb:${secrets.pgPassword}@127.0.0.1:${ports.postgres}/paperdb`;
    this.adminKey = secrets.adminKey;
    this.tokenSecret = secrets.tokenSecret;
    child.stdout?.resume();
    child.stderr?.on("data", (text: Buffer) => {
      this.#output = (this.#output + text.toString()).slice(-MAX_KEPT_OUTPUT);
    });
    running.add(this);
    child.once("exit", () => running.delete(this));
  }

  /** Resolves once the server is ready. */
  static async start({
    command = "node",
    dataDir,
    profileDir,
    inspectPort,
    config = {},
  }: ServerProcessOptions = {}): Promise<ServerProcess> {
    const ports = { http: await freePort(), postgres: await freePort() };
    const secrets = {
      adminKey: randomSecret(),
      tokenSecret: randomSecret(),
      pgPassword: randomSecret(),
    };
    const folder = dataDir ?? (await createDataDir());
    const configFile = join(folder, "bench.config.json");
    await writeFile(configFile, JSON.stringify({ logLevel: "warn", ...config }));
    const nodeArgs = [
      ...(profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`]),
      ...(inspectPort === undefined ? [] : [`--inspect=127.0.0.1:${inspectPort}`]),
    ];
    const [program, args] =
      command === "npm" ? ["npm", ["start"]] : [process.execPath, [...nodeArgs, CLI, "start"]];
    const startedAtMs = monotonicMs();
    const child = spawn(program, args, {
      cwd: ROOT,
      // A group of its own: npm puts a shell between itself and the server.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: environment(ports, secrets, folder, configFile),
    });
    const server = new ServerProcess(child, ports, secrets, dataDir === undefined ? folder : undefined);
    try {
      await server.#untilReady();
    } catch (error) {
      await server.stop();
      throw error;
    }
    server.readyAfterMs = monotonicMs() - startedAtMs;
    return server;
  }

  /** Of the server itself when it was started as `node`. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch (error) {
      const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
      if (!gone) throw error;
    }
  }

  /** Ends the server as an operator does, and removes its data unless the folder was given. */
  async stop(): Promise<void> {
    if (running.has(this)) {
      const exited = once(this.#child, "exit");
      this.signal("SIGTERM");
      const killer = setTimeout(() => this.signal("SIGKILL"), STOP_WITHIN_MS);
      await exited;
      clearTimeout(killer);
    }
    if (this.#ownDataDir !== undefined)
      await rm(this.#ownDataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }

  async #untilReady(): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    while (Date.now() < deadline) {
      if (!running.has(this)) throw new Error(`The server ended before it was ready:\n${this.#output}`);
      const status = await fetch(`${this.url}/readyz`, {
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      }).then(
        (response) => response.status,
        () => undefined,
      );
      if (status === 200) return;
      await delay(POLL_INTERVAL_MS);
    }
    throw new Error(`The server was not ready within ${READY_WITHIN_MS} ms:\n${this.#output}`);
  }
}

interface Ports {
  readonly http: number;
  readonly postgres: number;
}

interface Secrets {
  readonly adminKey: string;
  readonly tokenSecret: string;
  readonly pgPassword: string;
}

/** A new folder for a server's data. */
export function createDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "paperdb-bench-"));
}

function randomSecret(): string {
  return randomBytes(24).toString("base64url");
}

function environment(
  ports: Ports,
  secrets: Secrets,
  dataDir: string,
  configFile: string,
): Record<string, string | undefined> {
  const { DATABASE_URL: _ignored, ...inherited } = process.env;
  return {
    ...inherited,
    PORT: String(ports.http),
    HOST: "127.0.0.1",
    PAPERDB_PG_PORT: String(ports.postgres),
    PAPERDB_PG_PASSWORD: secrets.pgPassword,
    PAPERDB_ADMIN_KEY: secrets.adminKey,
    PAPERDB_TOKEN_SECRET: secrets.tokenSecret,
    PAPERDB_DATA_DIR: dataDir,
    PAPERDB_CONFIG: configFile,
    npm_config_update_notifier: "false",
  };
}
