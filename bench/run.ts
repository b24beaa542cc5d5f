import { parseArgs } from "node:util";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { fanOut } from "./fan-out.ts";
import { filters } from "./filters.ts";
import { grants } from "./grants.ts";
import { idleMemory } from "./idle-memory.ts";
import { latency } from "./latency.ts";
import { mongoJoins } from "./mongo-joins.ts";
import { mongoStreams } from "./mongo-streams.ts";
import { reconnectStorm } from "./reconnect-storm.ts";
import { snapshots } from "./snapshots.ts";
import { startup } from "./startup.ts";
import { writeReport } from "./support/document.ts";
import { describeMachine } from "./support/machine.ts";
import { renderTable } from "./support/markdown-table.ts";
import { transactions } from "./transactions.ts";
import { walDecode } from "./wal-decode.ts";
import { writers } from "./writers.ts";

const BENCHMARKS: readonly Benchmark[] = [
  startup,
  latency,
  grants,
  filters,
  writers,
  walDecode,
  transactions,
  snapshots,
  idleMemory,
  fanOut,
  reconnectStorm,
  mongoStreams,
  mongoJoins,
];
const NAMES = BENCHMARKS.map(({ name }) => name).join(", ");

const HELP = `Usage: npm run bench -- [options]

  --only <name>      one of ${NAMES}; may be repeated
  --short            less of everything, to try it out: about a third of the time
  --write            put the tables of a whole run into docs/benchmarks.md
  --profile <dir>    write the server's CPU profiles there; it costs some speed
  --help             this text

Tables go to standard output, progress to standard error.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      short: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (values.write && (values.only !== undefined || values.short || values.profile !== undefined)) {
    throw new Error("--write publishes a whole run: leave --only, --short and --profile out.");
  }
  const machine = await describeMachine();
  const chosen = choose(values.only);
  const sections: string[] = [];
  const print = (section: string): void => {
    sections.push(section);
    process.stdout.write(`${section}\n\n`);
  };
  print(`${machine.description}. ${new Date().toISOString().slice(0, 10)}.`);
  for (const benchmark of chosen) {
    print(
      await reportOf(benchmark, {
        machine,
        short: values.short,
        profileDir: values.profile,
        progress: (message) => void process.stderr.write(`${benchmark.name}: ${message}\n`),
      }),
    );
  }
  if (values.write) await writeReport(sections.join("\n\n"));
}

function choose(names: readonly string[] | undefined): readonly Benchmark[] {
  if (names === undefined) return BENCHMARKS;
  return names.map((wanted) => {
    const benchmark = BENCHMARKS.find(({ name }) => name === wanted);
    if (benchmark === undefined) throw new Error(`There is no benchmark "${wanted}": choose of ${NAMES}.`);
    return benchmark;
  });
}

async function reportOf(benchmark: Benchmark, context: BenchmarkContext): Promise<string> {
  const startedAt = Date.now();
  const { table, notes } = await benchmark.run(context).catch((error: unknown) => {
    // A figure is never left out: it is taken again, and if that fails too, nothing is published.
    context.progress(
      `failed, and is run once more: ${error instanceof Error ? error.message : String(error)}`,
    );
    return benchmark.run(context);
  });
  context.progress(`done in ${Math.round((Date.now() - startedAt) / 1000)} s`);
  return [`## ${benchmark.title}`, renderTable(table), ...notes].join("\n\n");
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // The server processes are ended on exit.
  process.once(signal, () => process.exit(1));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
