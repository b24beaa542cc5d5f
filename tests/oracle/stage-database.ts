import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import type { ServerProcessOptions } from "../support/server-child.ts";
import type { WorldPlan } from "./plan.ts";
import type { Store } from "./store.ts";

/** A database that a world has for itself, and may kill. */
export interface StageDatabase {
  readonly store: Store;
  /** Where our server finds it. */
  readonly urls: Pick<ServerProcessOptions, "databaseUrl" | "mongodbUrl">;
  sources(plan: WorldPlan): ConfigInput["sources"];
  /** Without a goodbye; returns once it has been started again. */
  killAndStart(): Promise<void>;
  /** Ends the connections that our server has. PostgreSQL only. */
  terminateBackends(): Promise<void>;
  /** Takes the replication slot away from our server. Mode `wal` only. */
  dropSlot(): Promise<void>;
  /** Writes so much that the oplog forgets what it had. MongoDB only. */
  rollOplog(): Promise<void>;
  close(): Promise<void>;
}
