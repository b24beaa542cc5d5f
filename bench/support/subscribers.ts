import { getRequest } from "./http-bytes.ts";
import { sseRequest } from "./our-requests.ts";
import type { ServerProcess } from "./server-process.ts";
import type { Received } from "./subscriber-group.ts";
import type { SubscriberCalls } from "./subscriber-worker.ts";
import { WorkerProcess } from "./worker-process.ts";

const WAIT_MS = 180_000;

/** What a group subscribes to. */
export type Subject = { readonly collection: string } | { readonly topic: string };

/** A process that holds SSE connections, some thousands of them. */
export class Subscribers {
  readonly #worker = new WorkerProcess<SubscriberCalls>(new URL("subscriber-worker.ts", import.meta.url));

  /** Opens a group at the server under test. */
  open(
    group: string,
    server: ServerProcess,
    subscription: { key: string; subject: Subject; connections: number; recordArrivals?: boolean },
  ): Promise<void> {
    const { key, subject, connections, recordArrivals = false } = subscription;
    const request = sseRequest(subject, { apikey: key });
    const requests = Array.from({ length: connections }, () => request);
    return this.#worker.call("open", { group, target: { ...placeOf(server), requests, recordArrivals } });
  }

  /** Opens a group in which each connection has a token of its own; arrivals are recorded. */
  openWithTokens(
    group: string,
    server: ServerProcess,
    { tokens, subject }: { tokens: readonly string[]; subject: Subject },
  ): Promise<void> {
    const requests = tokens.map((token) => sseRequest(subject, { authorization: `Bearer ${token}` }));
    return this.#worker.call("open", {
      group,
      target: { ...placeOf(server), requests, recordArrivals: true },
    });
  }

  /** Opens a group at any other server that sends `ready` first. */
  openAt(group: string, port: number, connections: number): Promise<void> {
    const target = {
      host: "127.0.0.1",
      port,
      requests: Array.from({ length: connections }, () => getRequest("/")),
      recordArrivals: false,
    };
    return this.#worker.call("open", { group, target });
  }

  /** Waits until each connection of the group has so many events, and takes what came. */
  async receive(group: string, events: number): Promise<Received> {
    await this.#worker.call("waitForEvents", { group, events, timeoutMs: WAIT_MS });
    return this.#worker.call("take", group);
  }

  closeGroup(group: string): Promise<void> {
    return this.#worker.call("close", group);
  }

  close(): Promise<void> {
    return this.#worker.close();
  }
}

function placeOf({ url }: ServerProcess): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

/**
 * Makes sure that each connection got exactly the events numbered `first` to `first + count - 1`, all in one order.
 *
 * @throws naming what is wrong.
 */
export function requireComplete(
  received: Pick<Received, "events" | "distinctOrders" | "sequenceSums">,
  first: number,
  count: number,
): void {
  const expectedSum = count * first + (count * (count - 1)) / 2;
  if (received.events.some((events) => events !== count)) {
    throw new Error(`A connection did not get exactly ${count} events.`);
  }
  if (received.distinctOrders !== 1) throw new Error("Connections got the events in different orders.");
  if (received.sequenceSums[0] !== expectedSum) throw new Error("Events were lost or doubled.");
}
