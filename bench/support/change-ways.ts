import type { ChangeConnection } from "./change-client-worker.ts";
import { overPeerSse, overSse, overWebSocket } from "./change-clients.ts";
import { mongoReader, OTHERS_TABLE, OtherReaders, ourReader, type ChangeReader } from "./change-readers.ts";
import { startBenchMongo } from "./mongo-server.ts";
import { ServerProcess, sourceConfig, type SourceMode } from "./server-process.ts";
import { createTenants, type BenchTenant } from "./tenant.ts";

/** From a database to clients. */
export interface ChangeWay {
  readonly title: string;
  readonly reader: ChangeReader;
  /** The table or collection that is written. */
  readonly target: string;
  readonly connections: readonly ChangeConnection[];
  readonly tenants: number;
  /** Of one in so many connections the arrivals are kept. */
  readonly recordEvery: number;
  readonly rowsPerTransaction: number;
  /** What is offered, in rows per second. */
  readonly rates: readonly number[];
}

/** Gets what is to be ended, in reverse order. */
export type OnOpen = (close: () => Promise<void>) => void;

/** Opens ways that are tried in turn, on processes that they share. */
export type OpenWays = (profileDir: string | undefined, onOpen: OnOpen) => Promise<readonly ChangeWay[]>;

const TENANTS = 100;
const CLIENTS_OF_ONE = 100;
const BATCH = 50;
const WAL_RATES = [5_000, 10_000, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000];
const SINGLE_RATES = [500, 1_000, 2_000, 3_000, 4_000, 6_000];
const ONE_RATES = [1_000, 2_000, 4_000, 6_000, 8_000, 12_000];
const NOTIFY_RATES = [1_000, 2_500, 5_000, 7_500, 10_000, 15_000];
const MONGO_RATES = [500, 1_000, 1_500, 2_000, 3_000, 4_000];

/** All of them, in the order of the table. */
export const CHANGE_WAYS: readonly OpenWays[] = [
  openWal,
  (profileDir, onOpen) => openPostgres(profileDir, onOpen, "notify"),
  openMongo,
];

type Shared = Pick<ChangeWay, "tenants" | "recordEvery" | "rowsPerTransaction">;

const SHARED: Shared = { tenants: TENANTS, recordEvery: 1, rowsPerTransaction: BATCH };

async function openWal(profileDir: string | undefined, onOpen: OnOpen): Promise<readonly ChangeWay[]> {
  const ours = await openPostgres(profileDir, onOpen, "wal");
  const others = await OtherReaders.start();
  onOpen(() => others.close());
  const shared = { ...SHARED, target: OTHERS_TABLE, rates: WAL_RATES };
  return [
    ...ours,
    {
      ...shared,
      title: "`pg-logical-replication` → SSE",
      reader: await others.open("deliver"),
      connections: Array.from({ length: TENANTS }, (_, index) => overPeerSse(index)),
    },
    { ...shared, title: "`wal`, read and thrown away", reader: await others.open("drop"), connections: [] },
  ];
}

async function openPostgres(
  profileDir: string | undefined,
  onOpen: OnOpen,
  mode: SourceMode,
): Promise<readonly ChangeWay[]> {
  const overTable = await openServer(profileDir, onOpen, mode);
  const { way: sse, server, tenants } = await overTable("sse", mode === "wal" ? WAL_RATES : NOTIFY_RATES);
  if (mode === "notify") return [sse];
  const { way: ws } = await overTable("ws", WAL_RATES);
  const { way: singles } = await overTable("singles", SINGLE_RATES);
  const { way: one } = await overTable("one", ONE_RATES);
  const sockets = tenants.map((tenant, index) => overWebSocket(server, tenant, ws.target, index));
  return [
    sse,
    { ...ws, title: "`wal` → WebSocket", connections: await Promise.all(sockets) },
    { ...singles, title: "`wal` → SSE, single rows", rowsPerTransaction: 1 },
    {
      ...one,
      title: `\`wal\` → SSE, each change to ${CLIENTS_OF_ONE} clients`,
      tenants: 1,
      recordEvery: CLIENTS_OF_ONE / 4,
      connections: Array.from({ length: CLIENTS_OF_ONE }, () => one.connections.slice(0, 1)).flat(),
    },
  ];
}

/** PostgreSQL's log, to one client of each tenant. */
export async function openOursOverSse(profileDir: string, onOpen: OnOpen): Promise<ChangeWay> {
  const overTable = await openServer(profileDir, onOpen, "wal");
  return (await overTable("sse", WAL_RATES)).way;
}

/** A table's way over SSE, and what it goes through. */
interface TableWay {
  readonly way: ChangeWay;
  readonly server: ServerProcess;
  readonly tenants: readonly BenchTenant[];
}

/** @returns what makes a table, whose changes go to one client of each tenant. */
async function openServer(
  profileDir: string | undefined,
  onOpen: OnOpen,
  mode: SourceMode,
): Promise<(table: string, rates: readonly number[]) => Promise<TableWay>> {
  const server = await ServerProcess.start({ profileDir, config: sourceConfig(mode) });
  onOpen(() => server.stop());
  const tenants = await createTenants(server, TENANTS);
  return async (target, rates) => {
    const way: ChangeWay = {
      ...SHARED,
      title: `\`${mode}\` → SSE`,
      reader: await ourReader(server, target),
      target,
      rates,
      connections: tenants.map((tenant, index) => overSse(tenant, target, index)),
    };
    return { way, server, tenants };
  };
}

async function openMongo(profileDir: string | undefined, onOpen: OnOpen): Promise<readonly ChangeWay[]> {
  const mongo = await startBenchMongo();
  onOpen(() => mongo.stop());
  const { url, database } = mongo;
  const config = { sources: [{ kind: "mongodb", url, database }] };
  const server = await ServerProcess.start({ profileDir, config });
  onOpen(() => server.stop());
  const tenants = await createTenants(server, TENANTS);
  const target = "messages";
  return [
    {
      ...SHARED,
      title: "MongoDB → SSE",
      reader: mongoReader(server, mongo),
      target,
      rates: MONGO_RATES,
      connections: tenants.map((tenant, index) => overSse(tenant, target, index)),
    },
  ];
}
