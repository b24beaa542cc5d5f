import { once } from "node:events";
import { Command } from "commander";
import { renderEnvironmentHelp } from "../config/render-documentation.ts";
import { startServer } from "../server.ts";
import { renderBanner } from "./banner.ts";
import { loadCommandConfig } from "./command-context.ts";
import type { Terminal } from "./terminal.ts";

const PARENT_CHECK_INTERVAL_MS = 500;
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** `start`: runs the server until a signal; a second signal ends it at once. */
export function startCommand(terminal: Terminal): Command {
  return new Command("start")
    .description("Start the server; without a database of yours, on an embedded PostgreSQL")
    .addHelpText("after", `\n${renderEnvironmentHelp()}\n\nAll settings: docs/configuration.md`)
    .action(async (_options: unknown, command: Command) => {
      const config = loadCommandConfig(command, terminal);
      const signalled = firstSignal(terminal.env["npm_lifecycle_event"] !== undefined);
      const server = await startServer(config);
      const usesEmbedded = config.tenantsUrl === "embedded";
      terminal.stdout.write(renderBanner({ ...server, usesEmbedded, dataDir: config.dataDir }));
      await signalled;
      await server.close();
      // Whatever the runtime still holds must not keep a stopped server alive.
      process.exit(0);
    });
}

/**
 * @param underNpm - the shell between npm and us does not pass signals on: it just ends,
 * which then counts as one.
 */
async function firstSignal(underNpm: boolean): Promise<void> {
  const arrived = new AbortController();
  for (const [signal, exitCode] of Object.entries(SIGNAL_EXIT_CODES)) {
    process.on(signal, () => {
      if (arrived.signal.aborted) process.exit(exitCode);
      arrived.abort();
    });
  }
  const parent = process.ppid;
  const checkParent = (): void => {
    if (process.ppid !== parent) arrived.abort();
  };
  const parentCheck = underNpm ? setInterval(checkParent, PARENT_CHECK_INTERVAL_MS).unref() : undefined;
  await once(arrived.signal, "abort");
  clearInterval(parentCheck);
}
