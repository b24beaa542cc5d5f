import type { Environment } from "../config/load-config.ts";

/** What the command line has of the process it runs in. */
export interface Terminal {
  readonly env: Environment;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Sets the exit code; the process ends when nothing is left to do. */
  setExitCode(code: number): void;
}

/** Rows with aligned columns under their headings. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** A failure in one line for stderr, without stack. */
export function describeFailure(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `paperdb-realtime: ${message.replaceAll(/\s*\n\s*/g, " ") || "it failed without saying why"}\n`;
}
