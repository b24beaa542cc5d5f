import type { Benchmark } from "./benchmark.ts";
import { changes } from "./changes.ts";
import { channels } from "./channels.ts";
import { compression } from "./compression.ts";
import { connections } from "./connections.ts";
import { fanOut } from "./fan-out.ts";
import { filters } from "./filters.ts";
import { grants } from "./grants.ts";
import { hub } from "./hub.ts";
import { idleMemory } from "./idle-memory.ts";
import { latency } from "./latency.ts";
import { mongoJoins } from "./mongo-joins.ts";
import { mongoStreams } from "./mongo-streams.ts";
import { overload } from "./overload.ts";
import { reconnectStorm } from "./reconnect-storm.ts";
import { snapshots } from "./snapshots.ts";
import { soak } from "./soak.ts";
import { stages } from "./stages.ts";
import { startup } from "./startup.ts";
import { transactions } from "./transactions.ts";
import { walDecode } from "./wal-decode.ts";
import { writers } from "./writers.ts";

/** All of them, in the order of the report. */
export const BENCHMARKS: readonly Benchmark[] = [
  startup,
  latency,
  changes,
  stages,
  grants,
  filters,
  hub,
  writers,
  walDecode,
  transactions,
  snapshots,
  idleMemory,
  connections,
  channels,
  fanOut,
  compression,
  overload,
  reconnectStorm,
  soak,
  mongoStreams,
  mongoJoins,
];
