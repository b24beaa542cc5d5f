import { setTimeout as delay } from "node:timers/promises";
import type { Client, DocumentList } from "paperdb";
import type { TestDatabase } from "./postgres.ts";

/** A row of the table `tasks`. */
interface Task {
  readonly id: number;
  readonly tenant_id: string;
  readonly room: number;
  /** Grows by one with each change of the row. */
  readonly n: number;
}

/** What clients of tasks know. */
export interface TaskSchema {
  tasks: Task;
}

type Queryable = Pick<TestDatabase, "query">;

const PAUSE_MS = 5;
const ROWS = 40;
const ROOMS = 3;
const TENANTS = ["a", "b"];

/** Creates the table `tasks`. */
export async function createTaskTable(database: Queryable): Promise<void> {
  await database.query("create table tasks (id int primary key, tenant_id text, room int, n int)");
}

/** Changes tasks of two tenants, at random: all kinds of change, alone and several at once. */
export class TaskWriter {
  /** Statements that were executed. */
  count = 0;
  readonly #database: Queryable;
  readonly #random: () => number;
  readonly #stopped = new AbortController();
  readonly #done: Promise<void>;

  constructor(database: Queryable, random: () => number) {
    this.#database = database;
    this.#random = random;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#database.query(this.#statement());
      this.count += 1;
      // So slow that what a client misses meanwhile is in the server's history.
      await delay(PAUSE_MS);
    }
  }

  #statement(): string {
    const id = 1 + this.#below(ROWS);
    const ids = `between ${id} and ${id + this.#below(4)}`;
    const room = this.#below(ROOMS);
    const tenant = TENANTS[this.#below(TENANTS.length)] ?? "";
    const statements = [
      `insert into tasks values (${id}, '${tenant}', ${room}, 1) on conflict (id) do update set n = tasks.n + 1`,
      `insert into tasks select id, '${tenant}', ${room}, 1 from generate_series(${id}, ${id + 3}) id on conflict do nothing`,
      `update tasks set n = n + 1, room = ${room} where id ${ids}`,
      `update tasks set n = n + 1, tenant_id = '${tenant}' where id ${ids}`,
      `delete from tasks where id ${ids}`,
    ];
    return statements[this.#below(statements.length)] ?? "";
  }

  #below(limit: number): number {
    return Math.floor(limit * this.#random());
  }
}

/** Somebody who has a tenant's tasks, those of one room only where one is given. */
export interface TaskHolder {
  readonly tenant: string;
  readonly room: number | undefined;
  /** Whether they are known to be up to date, but for what is on its way. */
  readonly isLive: boolean;
  readonly resets: readonly string[];
  /** What it was told that cannot be. */
  readonly faults: readonly string[];
  tasks(): Iterable<Task>;
}

/** Holds tasks by a list. */
export function listTasks(client: Client<TaskSchema>, tenant: string, room?: number): TaskHolder {
  const faults: string[] = [];
  const list: DocumentList<Task> = client.realtime.list("tasks", {
    ...(room !== undefined && { where: { room } }),
    onError: ({ message }) => faults.push(message),
  });
  return {
    tenant,
    room,
    resets: [],
    faults,
    get isLive() {
      return list.status === "live";
    },
    tasks: () => list.current,
  };
}

/** Holds tasks by a subscription with a snapshot, and notices every change that is missing or comes twice. */
export function followTasks(client: Client<TaskSchema>, tenant: string, room?: number): TaskHolder {
  const tasks = new Map<string, Task>();
  const resets: string[] = [];
  const faults: string[] = [];
  let isLive = false;
  client.realtime.subscribe(
    "tasks",
    ({ type, documentId, data }) => {
      const before = tasks.get(documentId);
      if ((type === "insert") !== (before === undefined)) faults.push(`${type} of ${documentId}`);
      // A delete shows the task as it was; one that leaves room or tenant as well.
      const n = type === "update" ? data.n - 1 : data.n;
      if (before !== undefined && before.n !== n)
        faults.push(`${type} of ${documentId}: ${before.n}, ${data.n}`);
      if (type === "delete") tasks.delete(documentId);
      else tasks.set(documentId, data);
    },
    {
      snapshot: true,
      ...(room !== undefined && { where: { room } }),
      onReset: ({ reason }) => {
        resets.push(reason);
        tasks.clear();
      },
      onStatus: (status) => {
        isLive = status === "live";
      },
      onError: ({ message }) => faults.push(message),
    },
  );
  return {
    tenant,
    room,
    resets,
    faults,
    get isLive() {
      return isLive;
    },
    tasks: () => tasks.values(),
  };
}
