import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

const START_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 5_000;
const POLL_INTERVAL_MS = 20;
const MAX_KEPT_OUTPUT = 4000;

/** What is started, and where. */
export interface PeerProgram {
  readonly program: string;
  readonly args: readonly string[];
  readonly core: number | undefined;
  /** Besides what this process has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A server that is compared with, in a process of its own. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #output = "";

  constructor({ program, args, core, env = {}, cwd }: PeerProgram) {
    const [file, ...rest] = commandOn(core, [program, ...args]);
    this.#child = spawn(file ?? program, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error("The process has no output.");
    this.#lines = createInterface(stdout)[Symbol.asyncIterator]();
    stderr.on("data", (text: Buffer) => {
      this.#output = (this.#output + text.toString()).slice(-MAX_KEPT_OUTPUT);
    });
    running.add(this.#child);
    this.#child.once("exit", () => running.delete(this.#child));
    this.#child.once("error", (error) => {
      this.#output += error.message;
      running.delete(this.#child);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The port that a server of our own says on its first line. */
  async fetchPort(): Promise<number> {
    const line = await Promise.race([this.#lines.next(), delay(START_WITHIN_MS, undefined, { ref: false })]);
    const port = Number(line?.value);
    if (Number.isInteger(port) && port > 0) return port;
    await this.stop();
    throw new Error(`A server did not say its port:\n${this.#output}`);
  }

  /** Resolves once something accepts connections at each of the ports. */
  async untilListening(ports: readonly number[]): Promise<void> {
    const deadline = Date.now() + START_WITHIN_MS;
    for (const port of ports) {
      while (!(await accepts(port))) {
        if (!running.has(this.#child) || Date.now() > deadline) {
          await this.stop();
          throw new Error(`A server does not listen on its port:\n${this.#output}`);
        }
        await delay(POLL_INTERVAL_MS);
      }
    }
  }

  async stop(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const killer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_WITHIN_MS);
    await exited;
    clearTimeout(killer);
  }
}

let hasTaskset: boolean | undefined;

/** The command, bound to the core where the system has a program for that. */
function commandOn(core: number | undefined, command: readonly string[]): readonly string[] {
  hasTaskset ??= spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;
  return core === undefined || !hasTaskset ? command : ["taskset", "-c", String(core), ...command];
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}
