import { freemem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { bindToCore, CORES } from "./support/cpu-core.ts";
import { FanOutContestant, requireAll } from "./support/fan-out-contestant.ts";
import { asFanOutServer } from "./support/fan-out-ours.ts";
import type { FanOutPeer } from "./support/fan-out-server.ts";
import { FanOutFigures, type FanOutCell } from "./support/fan-out-figures.ts";
import { closeAll, sampleFrameBytes } from "./support/fan-out-entries.ts";
import { FloorPeer } from "./support/floor/floor-peer.ts";
import type { RunOptions } from "./support/load-group.ts";
import { describeMachine } from "./support/machine.ts";
import { figure, ratioText, renderTable } from "./support/markdown-table.ts";
import { ServerProcess } from "./support/server-process.ts";
import { createTenant } from "./support/tenant.ts";

const TRANSPORTS = ["websocket", "sse"] as const;
const ROUNDS = 5;
const CONNECTIONS = 1000;
const FEW_CONNECTIONS = 200;
/** For the server, its database, the floor and the clients. */
const MEMORY_FOR_ALL_BYTES = 1024 ** 3;
const FILES_BESIDE_CONNECTIONS = 200;
/** A machine that is busy with other things is slow, and that is not what is looked for. */
const STALL_MS = 60_000;
/** Of one attempt, which takes about half a minute when the machine has nothing else to do. */
const ATTEMPT_MS = 5 * 60_000;
/** Unmeasured, for the compiler of Node. */
const WARM_UP_RUNS = 3;

/**
 * Each event after all have the one before, so that none are sent together
 * however busy the machine is; and 200 events at once, again and again.
 */
const LOADS: Readonly<Record<FanOutCell["load"], RunOptions>> = {
  steady: { events: 1, repeat: 50, stallMs: STALL_MS },
  burst: { events: 200, repeat: 5, stallMs: STALL_MS },
};

/**
 * CPU per delivery as a multiple of the floor's, beyond which something has
 * become dearer. It is 1.1 to 1.4 one by one and 1.5 to 1.9 in bursts (C), and less
 * of a floor in Node: the limits are near twice that, above what a busy machine
 * makes of it. A write for each event and subscriber is at 50 in bursts.
 */
const LIMITS: Readonly<Record<FloorPeer["language"], Readonly<Record<FanOutCell["load"], number>>>> = {
  C: { steady: 2.6, burst: 3.6 },
  Node: { steady: 2.2, burst: 3.6 },
};

interface Verdict {
  readonly table: string;
  readonly exceeded: readonly string[];
}

async function main(): Promise<void> {
  const floor = new FloorPeer();
  await floor.prepare(say);
  const connections = await affordableConnections();
  const first = await attempt(floor, connections);
  if (first !== undefined && first.exceeded.length === 0) return;
  say("once more, in case something else was to blame");
  const second = await measureInTime(floor, connections);
  process.stdout.write(`${second.table}\n`);
  if (second.exceeded.length === 0) return;
  throw new Error(`Fan-out has become too dear, twice: ${second.exceeded.join("; ")}.`);
}

async function attempt(floor: FloorPeer, connections: number): Promise<Verdict | undefined> {
  try {
    const verdict = await measureInTime(floor, connections);
    process.stdout.write(`${verdict.table}\n`);
    for (const each of verdict.exceeded) say(each);
    return verdict;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

async function affordableConnections(): Promise<number> {
  const { maxOpenFiles } = await describeMachine();
  const hasMemory = freemem() > MEMORY_FOR_ALL_BYTES;
  // One server has those of all transports.
  const files = Math.floor((maxOpenFiles - FILES_BESIDE_CONNECTIONS) / TRANSPORTS.length);
  const connections = Math.min(hasMemory ? CONNECTIONS : FEW_CONNECTIONS, files);
  if (connections < CONNECTIONS) {
    say(`only ${connections} connections, because open files (${maxOpenFiles}) or memory do not allow more;`);
    say("a publish weighs more there, so the limits are shown and not enforced");
  }
  return Math.max(1, connections);
}

/** What hangs is left alone until the process ends. */
async function measureInTime(floor: FloorPeer, connections: number): Promise<Verdict> {
  const late = new AbortController();
  const deadline = delay(ATTEMPT_MS, undefined, { signal: late.signal }).then((): never => {
    throw new Error(`No figures within ${ATTEMPT_MS / 60_000} minutes.`);
  });
  try {
    return await Promise.race([measure(floor, connections), deadline]);
  } finally {
    late.abort();
    await deadline.catch(() => undefined);
  }
}

async function measure(floor: FloorPeer, connections: number): Promise<Verdict> {
  const server = await ServerProcess.start();
  const started: FanOutContestant[] = [];
  try {
    await bindToCore(server.pid, CORES.server);
    const pairs: (readonly [FanOutContestant, FanOutContestant])[] = [];
    for (const transport of TRANSPORTS) {
      const ours = await FanOutContestant.start(tenantOf(server), transport);
      started.push(ours);
      floor.frameBytes[transport] = await sampleFrameBytes(ours);
      const ruler = await FanOutContestant.start(floor, transport);
      started.push(ruler);
      pairs.push([ours, ruler]);
    }
    for (const each of started) await warmUp(each, connections);
    return verdictOf(await measureRounds(started, connections), pairs, { floor, connections });
  } finally {
    await closeAll(started);
    await server.stop();
  }
}

/** The one server as a peer: for each transport a tenant. */
function tenantOf(server: ServerProcess): FanOutPeer {
  return {
    name: "ours",
    transports: TRANSPORTS,
    prepare: () => Promise.resolve(undefined),
    async start(transport) {
      const tenant = await createTenant(server, transport, "team");
      return { ...(await asFanOutServer(server, tenant, transport)), close: () => Promise.resolve() };
    },
  };
}

async function warmUp(contestant: FanOutContestant, connections: number): Promise<void> {
  say(`${contestant.title}: connecting ${connections}`);
  await contestant.connect(connections);
  for (let run = 0; run < WARM_UP_RUNS; run += 1) {
    requireAll(contestant, await contestant.run(LOADS.burst));
    requireAll(contestant, await contestant.run(LOADS.steady));
  }
}

async function measureRounds(
  contestants: readonly FanOutContestant[],
  connections: number,
): Promise<FanOutFigures> {
  const figures = new FanOutFigures();
  for (let round = 1; round <= ROUNDS; round += 1) {
    say(`round ${round} of ${ROUNDS}`);
    for (const load of ["steady", "burst"] as const) {
      for (const contestant of contestants) {
        const sample = await contestant.run(LOADS[load]);
        requireAll(contestant, sample);
        figures.add(contestant.title, { load, connections }, sample);
      }
    }
  }
  return figures;
}

function verdictOf(
  figures: FanOutFigures,
  pairs: readonly (readonly [FanOutContestant, FanOutContestant])[],
  { floor, connections }: { floor: FloorPeer; connections: number },
): Verdict {
  const exceeded: string[] = [];
  const rows = pairs.flatMap(([{ title: ours }, { title: ruler }]) =>
    (["steady", "burst"] as const).map((load) => {
      const cell = { load, connections };
      const ratio = figures.cpuRatio(ours, ruler, cell);
      const limit = LIMITS[floor.language][load];
      if (connections === CONNECTIONS && !(ratio <= limit)) {
        exceeded.push(`${ours}, ${load}: ${ratioText(ratio)} of the floor, the limit is ${ratioText(limit)}`);
      }
      const cpu = [ours, ruler].map((title) => `${figure(figures.cpuMicroseconds(title, cell))} µs`);
      return [`${ours}, ${load}`, ...cpu, ratioText(ratio), ratioText(limit)];
    }),
  );
  const head = ["CPU per delivery", "ours", `floor (${floor.language})`, "ratio", "limit"];
  return { table: renderTable({ head, rows }), exceeded };
}

function say(message: string): void {
  process.stderr.write(`guard: ${message}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // The server processes are ended on exit.
  process.once(signal, () => process.exit(1));
}

// Ended by force: an attempt that hangs would keep the process.
try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
