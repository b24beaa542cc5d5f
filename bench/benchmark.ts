import type { Machine } from "./support/machine.ts";
import type { Table } from "./support/markdown-table.ts";

/** What every benchmark is run with. */
export interface BenchmarkContext {
  readonly machine: Machine;
  /** Less of everything: for trying out, not for publishing. */
  readonly short: boolean;
  /** Where CPU profiles of the server go; undefined: none are taken. */
  readonly profileDir: string | undefined;
  /** Of the other servers that fan-out is compared with, those that are wanted; undefined: all that can run here. */
  readonly peers: readonly string[] | undefined;
  /** Tells the person who waits, not the report. */
  readonly progress: (message: string) => void;
}

/** A drawing of what a benchmark found. */
export interface Chart {
  /** Of the file, without its ending. */
  readonly name: string;
  /** What it shows, for those who do not see it. */
  readonly alt: string;
  readonly svg: string;
}

/** What a benchmark found. */
export interface BenchmarkReport {
  readonly table: Table;
  /** Sentences under the table: how it was measured, and what was checked on the way. */
  readonly notes: readonly string[];
  readonly chart?: Chart;
}

/** One question about speed or size, answered by a table. */
export interface Benchmark {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** @throws when the figures would be worthless: events lost, out of order, or a server that failed. */
  run(context: BenchmarkContext): Promise<BenchmarkReport>;
}
