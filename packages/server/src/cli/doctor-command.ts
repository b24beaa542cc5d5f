import { Command } from "commander";
import type { Config } from "../config/load-config.ts";
import type { SourceConfig } from "../config/sources.ts";
import { diagnose as diagnoseMongo } from "../source/mongodb/doctor.ts";
import { diagnose as diagnosePostgres } from "../source/postgres/doctor.ts";
import type { Finding } from "../source/finding.ts";
import { createLogger } from "../telemetry/logger.ts";
import { loadCommandConfig, withDatabases } from "./command-context.ts";
import type { Terminal } from "./terminal.ts";

interface Diagnosis {
  readonly source: string;
  readonly findings: readonly Finding[];
}

const MARKS: Readonly<Record<Finding["level"], string>> = {
  ok: "ok     ",
  warning: "warning",
  error: "error  ",
};

/** `doctor`: what each source needs of its database, and what to fix. */
export function doctorCommand(terminal: Terminal): Command {
  return new Command("doctor")
    .description(
      "Check each source and say what to fix; exit code 1 when something is wrong. Changes nothing",
    )
    .option("--json", "as JSON")
    .action(async (options: { readonly json?: true }, command: Command) => {
      const config = loadCommandConfig(command, terminal);
      const diagnoses = await withDatabases(config, ({ urls }) =>
        Promise.all(
          config.sources.map(async (source, index): Promise<Diagnosis> => {
            return { source: source.name, findings: await diagnose(config, source, urls[index] ?? "") };
          }),
        ),
      );
      terminal.stdout.write(
        options.json ? `${JSON.stringify({ sources: diagnoses }, null, 2)}\n` : render(diagnoses),
      );
      const failed = diagnoses.some(({ findings }) => findings.some(({ level }) => level === "error"));
      if (failed) terminal.setExitCode(1);
    });
}

function diagnose({ wal }: Config, source: SourceConfig, url: string): Promise<readonly Finding[]> {
  const log = createLogger("silent");
  return source.kind === "mongodb"
    ? diagnoseMongo({ ...source, url, log })
    : diagnosePostgres({ ...wal, ...source, url, log });
}

function render(diagnoses: readonly Diagnosis[]): string {
  const lines = diagnoses.flatMap(({ source, findings }) => [
    `Source ${source}:`,
    ...findings.map(
      ({ level, title, fix }) =>
        `  ${MARKS[level]}  ${title}${fix === undefined ? "" : `\n           → ${fix}`}`,
    ),
  ]);
  return `${lines.join("\n")}\n`;
}
