import { rm } from "node:fs/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, mediansOf } from "./support/markdown-table.ts";
import { createDataDir, ServerProcess } from "./support/server-process.ts";
import { Rounds } from "./support/statistics.ts";

const COMMANDS = ["npm", "node"] as const;
type Command = (typeof COMMANDS)[number];
type Start = `${"first" | "later"} ${Command}`;

/** From nothing until `/readyz` answers 200. */
export const startup: Benchmark = { name: "startup", title: "Start-up", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rounds = short ? 1 : 5;
  const times = new Rounds<Start>();
  for (let round = 1; round <= rounds; round += 1) {
    progress(`round ${round} of ${rounds}`);
    for (const command of round % 2 === 0 ? COMMANDS : COMMANDS.toReversed()) {
      await measureStarts(command, times);
    }
  }
  const row = (title: string, command: Command): string[] => [
    title,
    `${figure(times.median(`first ${command}`))} ms`,
    `${figure(times.median(`later ${command}`))} ms`,
  ];
  return {
    table: {
      head: ["", "first start", "later start"],
      rows: [row("`npm start`", "npm"), row("the same without npm", "node")],
    },
    notes: [
      `From the start of the process until \`/readyz\` answers 200; ${mediansOf(rounds)}. A first start makes the database ` +
        "(`initdb`, synced to disk), migrations, the demo tenant and its table; a later one finds all that, after a clean stop.",
    ],
  };
}

async function measureStarts(command: Command, times: Rounds<Start>): Promise<void> {
  const dataDir = await createDataDir();
  try {
    for (const kind of ["first", "later"] as const) {
      const server = await ServerProcess.start({ command, dataDir });
      times.add(`${kind} ${command}`, server.readyAfterMs);
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
}
