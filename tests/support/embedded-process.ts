import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { EmbeddedPostgresOptions } from "../../packages/server/src/embedded/embedded-postgres.ts";

const child = fileURLToPath(new URL("embedded-child.ts", import.meta.url));

/** What a launcher in a process of its own has said. */
interface EmbeddedReport {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly adopted: boolean;
  readonly firstStart: boolean;
  /** Why it did not start, in place of the rest. */
  readonly error?: string;
}

/** A launcher, with the server's lock, in a process of its own. */
export interface EmbeddedProcess {
  readonly report: EmbeddedReport;
  readonly launcherPid: number;
  /** Ends the launcher at once; PostgreSQL runs on. */
  kill(): Promise<void>;
  /** Ends the launcher in order. */
  close(): Promise<void>;
}

/** Starts the embedded PostgreSQL from a process of its own, as another user where one is given. */
export async function startInProcess(
  options: EmbeddedPostgresOptions,
  user: { readonly uid?: number; readonly gid?: number } = {},
): Promise<EmbeddedProcess> {
  const launcher = spawn(process.execPath, ["--import", "tsx", child, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: process.env["PATH"] },
    ...user,
  });
  const ended = once(launcher, "exit");
  const [line] = await Promise.race([
    once(createInterface({ input: launcher.stdout }), "line"),
    // Its last word may still be on its way when it has ended.
    once(launcher, "close").then(() => ['{"error":"the launcher ended without a word"}']),
  ]);
  return {
    report: JSON.parse(String(line)),
    launcherPid: launcher.pid ?? 0,
    async kill() {
      launcher.kill("SIGKILL");
      await ended;
    },
    async close() {
      launcher.stdin.end();
      await ended;
    },
  };
}
