import { appendFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import type { SourceKind } from "./plan.ts";
import { planWorld } from "./plan-world.ts";
import { failureReport, summaryOf } from "./report.ts";
import { runWorld } from "./world.ts";

const SOURCES: readonly SourceKind[] = ["wal", "notify", "mongodb"];

const HELP = `Usage: npm run oracle -- [options]

Plays worlds of random tables, transactions, subscribers and faults, and compares
what each subscriber was told with what the database holds. Exits with 1 when
something was wrong, and says how to play that world again.

  --minutes <n>    worlds, one after the other, for so long; without it one world
  --seed <s>       the first world's seed; the next ones follow. Default: random
  --source <name>  ${SOURCES.join(", ")}; without it one after the other
  --size <n>       how much happens in each world. Default: 1
  --trace <file>   appends all that subscribers saw
  --keep-going     does not stop at the first world that was wrong
  --help           this text
`;

const CLEAR_LINE = "\r\u001B[K";

interface Options {
  readonly sources: readonly SourceKind[];
  readonly seed: number;
  readonly untilMs: number;
  readonly size: number;
  readonly traceFile: string | undefined;
  readonly keepsGoing: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string" },
      seed: { type: "string" },
      source: { type: "string" },
      size: { type: "string", default: "1" },
      trace: { type: "string" },
      "keep-going": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const sources = SOURCES.filter((source) => values.source === undefined || values.source === source);
  if (sources.length === 0) throw new Error(`--source: one of ${SOURCES.join(", ")}`);
  return {
    sources,
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : numberOf("seed", values.seed),
    untilMs:
      performance.now() + (values.minutes === undefined ? 0 : numberOf("minutes", values.minutes) * 60_000),
    size: numberOf("size", values.size),
    traceFile: values.trace,
    keepsGoing: values["keep-going"],
  };
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) throw new Error(`--${name}: must be a number, is ${text}`);
  return number;
}

/** Resolves with whether everything was right. */
async function run({ sources, seed, untilMs, size, traceFile, keepsGoing }: Options): Promise<boolean> {
  let failures = 0;
  let worlds = 0;
  do {
    const source = sources[worlds % sources.length] ?? "wal";
    const plan = planWorld(source, seed + worlds, size);
    const startedAtMs = performance.now();
    const verdict = await runWorld(plan, {
      signal: interruption.signal,
      onProgress: ({ done, work, events, resets, faults }) => {
        const leftSeconds = Math.max(0, Math.round((untilMs - performance.now()) / 1_000));
        process.stderr.write(
          `${CLEAR_LINE}${source} ${String(plan.seed)}: ${String(done)}/${String(work)} transactions, ${String(events)} events, ${String(faults)} faults, ${String(resets)} resets; ${String(leftSeconds)} s left `,
        );
      },
    });
    const seconds = Math.round((performance.now() - startedAtMs) / 1_000);
    process.stderr.write(CLEAR_LINE);
    process.stdout.write(`${summaryOf(plan, verdict)} (${String(seconds)} s)\n`);
    if (traceFile !== undefined) await appendFile(traceFile, verdict.trace());
    worlds += 1;
    if (verdict.objections.length === 0) continue;
    failures += 1;
    process.stdout.write(`${failureReport(plan, verdict)}\n`);
    if (!keepsGoing) break;
  } while (performance.now() < untilMs);
  process.stdout.write(`${String(worlds)} worlds, ${String(failures)} of them wrong.\n`);
  return failures === 0;
}

/** The processes of a world are ended before this one. */
const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => interruption.abort(new Error("Interrupted.")));
}

try {
  const options = readOptions();
  if (options === undefined) process.stdout.write(HELP);
  else if (!(await run(options))) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}

// Node 20 otherwise may not end: it now and then waits for sockets that were reset, which are long closed.
process.exit();
