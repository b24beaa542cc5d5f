import { Command } from "commander";
import { VERSION } from "../version.ts";
import { demoWriteCommand } from "./demo-write-command.ts";
import { doctorCommand } from "./doctor-command.ts";
import { keysCommand } from "./keys-command.ts";
import { startCommand } from "./start-command.ts";
import { tenantsCommand } from "./tenants-command.ts";
import { describeFailure } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";
import { uninstallCommand } from "./uninstall-command.ts";

/** Runs the command line. A failure is one line on stderr, and exit code 1. */
export async function runProgram(argv: readonly string[], terminal: Terminal): Promise<void> {
  try {
    await createProgram(terminal).parseAsync([...argv]);
  } catch (error) {
    terminal.stderr.write(describeFailure(error));
    terminal.setExitCode(1);
  }
}

function createProgram(terminal: Terminal): Command {
  const program = new Command("paperdb-realtime")
    .description(
      "Live changes of your own PostgreSQL and MongoDB data, to browsers and services, each tenant its own",
    )
    .version(VERSION)
    .option(
      "-c, --config <file>",
      "the configuration file (default: PAPERDB_CONFIG, or paperdb.config.json)",
    );
  const commands = [
    startCommand(terminal),
    demoWriteCommand(terminal),
    tenantsCommand(terminal),
    keysCommand(terminal),
    doctorCommand(terminal),
    uninstallCommand(terminal),
  ];
  for (const command of commands) program.addCommand(command);
  showGlobalOptions(program);
  return program;
}

function showGlobalOptions(command: Command): void {
  command.configureHelp({ showGlobalOptions: true });
  for (const nested of command.commands) showGlobalOptions(nested);
}
