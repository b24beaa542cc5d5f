import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { until } from "./until.ts";

const program = fileURLToPath(new URL("../../packages/server/bin/paperdb-realtime.js", import.meta.url));

/** Variables and folder of a command line; nothing else of this process's environment reaches it. */
export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What a command left behind. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export class RunningCommand {
  stdout = "";
  stderr = "";
  /** Whether it has ended, and all that it said was read. */
  hasEnded = false;
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(file: string, args: readonly string[], { env = {}, cwd = "/" }: CommandOptions = {}) {
    this.child = spawn(file, args, {
      env: { PATH: process.env["PATH"], ...env },
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#ended = once(this.child, "close");
    this.child.once("close", () => {
      this.hasEnded = true;
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
  }

  /** Waits for a text on stdout. */
  async waitFor(text: string, timeoutMs = 60_000): Promise<void> {
    await until(() => this.stdout.includes(text) || this.hasEnded, {
      timeoutMs,
      describe: () => `"${text}" in ${this.stdout}${this.stderr}`,
    });
    if (!this.stdout.includes(text)) throw new Error(`The command ended: ${this.stdout}${this.stderr}`);
  }

  /** Waits for its end; with a signal, asks for it first. */
  async end(signal?: NodeJS.Signals): Promise<CommandResult> {
    if (signal !== undefined) this.child.kill(signal);
    await this.#ended;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Starts `paperdb-realtime`, as built. */
export function startCommandLine(args: readonly string[], options?: CommandOptions): RunningCommand {
  return new RunningCommand(process.execPath, [program, ...args], options);
}

/** Runs `paperdb-realtime`, as built, to its end. */
export function runCommandLine(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
  return startCommandLine(args, options).end();
}
