import { monotonicMs } from "./clock.ts";
import { StormClient, type StormTarget } from "./storm-client.ts";
import { serveCalls } from "./worker-process.ts";

/** How all clients of a storm came back. */
export interface StormResult {
  /** From the first connect until each client was live and had what it missed, in ms, one by one. */
  readonly liveAfterMs: readonly number[];
  /** Clients that went on from their cursor. */
  readonly resumed: number;
}

/** The calls of the process that holds the clients. */
export interface StormCalls {
  [call: string]: (argument: never) => unknown;
  /** Connects so many, some at a time. */
  open(argument: { target: StormTarget; clients: number }): Promise<void>;
  /** Drops all, at once. */
  drop(argument: undefined): void;
  /** All come back as fast as they are let in. */
  comeBack(argument: { missed: number }): Promise<StormResult>;
}

const CONNECTING_AT_ONCE = 100;
/** Fewer than the queue of new connections holds: what does not fit into it tries again after 1, 2, 4 … s, whatever the server does. */
const COMING_BACK_AT_ONCE = 1000;
const clients: StormClient[] = [];

const calls: StormCalls = {
  async open({ target, clients: count }) {
    clients.length = 0;
    while (clients.length < count) {
      const batch = Array.from(
        { length: Math.min(CONNECTING_AT_ONCE, count - clients.length) },
        () => new StormClient(target),
      );
      clients.push(...batch);
      await Promise.all(batch.map((client) => client.open(0)));
    }
  },
  drop() {
    for (const client of clients) client.drop();
  },
  async comeBack({ missed }) {
    const startedAtMs = monotonicMs();
    const liveAfterMs: number[] = [];
    let next = 0;
    const comeBackInTurns = async (): Promise<void> => {
      for (let client = clients[next]; client !== undefined; client = clients[next]) {
        next += 1;
        await client.open(missed);
        liveAfterMs.push(monotonicMs() - startedAtMs);
      }
    };
    await Promise.all(Array.from({ length: COMING_BACK_AT_ONCE }, comeBackInTurns));
    return { liveAfterMs, resumed: clients.filter(({ resumed }) => resumed).length };
  },
};

serveCalls(calls);
