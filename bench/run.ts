import { parseArgs } from "node:util";
import type { Benchmark, BenchmarkContext, Chart } from "./benchmark.ts";
import { BENCHMARKS } from "./benchmarks.ts";
import { DOCUMENTS, writeChart, writeReport } from "./support/document.ts";
import { PEER_NAMES } from "./support/fan-out-entries.ts";
import { describeMachine } from "./support/machine.ts";
import { renderTable } from "./support/markdown-table.ts";

const NAMES = BENCHMARKS.map(({ name }) => name).join(", ");

const HELP = `Usage: npm run bench -- [options]

  --only <name>      one of ${NAMES}; may be repeated
  --short            less of everything, to try it out: some minutes
  --peers <names>    the servers that fan-out is compared with, besides ours and the floor; default: all that
                     can run here, of ${PEER_NAMES.join(",")}
  --charts <dir>     write charts (SVG) there
  --write            put the tables of a whole run into docs/benchmarks.md, and the charts beside it
  --profile <dir>    write the server's CPU profiles there; it costs some speed
  --help             this text

Tables go to standard output, progress to standard error.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      short: { type: "boolean", default: false },
      peers: { type: "string" },
      charts: { type: "string" },
      write: { type: "boolean", default: false },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { write, only, short, profile } = values;
  if (write && (only !== undefined || short || profile !== undefined || values.peers !== undefined)) {
    throw new Error("--write publishes a whole run: leave --only, --short, --peers and --profile out.");
  }
  const chartDir = write ? DOCUMENTS : values.charts;
  const peers = values.peers === undefined ? undefined : choosePeers(values.peers);
  const machine = await describeMachine();
  const chosen = choose(only);
  const sections: string[] = [];
  const print = (section: string): void => {
    sections.push(section);
    process.stdout.write(`${section}\n\n`);
  };
  print(`${machine.description}. ${today()}.`);
  for (const benchmark of chosen) {
    const { section, chart } = await reportOf(benchmark, {
      machine,
      short,
      profileDir: profile,
      peers,
      progress: (message) => void process.stderr.write(`${benchmark.name}: ${message}\n`),
    });
    if (chart !== undefined && chartDir !== undefined) await writeChart(chartDir, chart);
    print(section);
  }
  if (write) await writeReport(sections.join("\n\n"));
}

function choose(names: readonly string[] | undefined): readonly Benchmark[] {
  if (names === undefined) return BENCHMARKS;
  return names.map((wanted) => {
    const benchmark = BENCHMARKS.find(({ name }) => name === wanted);
    if (benchmark === undefined) throw new Error(`There is no benchmark "${wanted}": choose of ${NAMES}.`);
    return benchmark;
  });
}

function choosePeers(names: string): readonly string[] {
  const chosen = names.split(",");
  const unknown = chosen.find((name) => !PEER_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no server "${unknown}" to compare with: choose of ${PEER_NAMES.join(", ")}.`);
  }
  return chosen;
}

async function reportOf(
  benchmark: Benchmark,
  context: BenchmarkContext,
): Promise<{ readonly section: string; readonly chart: Chart | undefined }> {
  const startedAt = Date.now();
  const { table, notes, chart } = await benchmark.run(context).catch((error: unknown) => {
    // A figure is never left out: it is taken again, and if that fails too, nothing is published.
    context.progress(
      `failed, and is run once more: ${error instanceof Error ? error.message : String(error)}`,
    );
    return benchmark.run(context);
  });
  const seconds = Math.round((Date.now() - startedAt) / 1000);
  context.progress(`done in ${seconds} s`);
  const image = chart === undefined ? [] : [`![${chart.alt}](${chart.name}.svg)`];
  const section = [
    `## ${benchmark.title}`,
    ...image,
    renderTable(table),
    ...notes,
    provenance(benchmark, context, seconds),
  ].join("\n\n");
  return { section, chart };
}

/** So that a table can be had again, wherever it is shown. */
function provenance({ name }: Benchmark, context: BenchmarkContext, seconds: number): string {
  const { short, peers, profileDir } = context;
  const options = [short ? " --short" : "", peers === undefined ? "" : ` --peers ${peers.join(",")}`].join(
    "",
  );
  const profiled = profileDir === undefined ? "" : ", with profiles being taken";
  return `By \`npm run bench -- --only ${name}${options}\` on ${today()}, in ${seconds} s${profiled}.`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
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
