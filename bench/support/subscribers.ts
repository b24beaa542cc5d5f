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
    const query = new URLSearchParams(subject).toString();
    const { host, hostname, port } = new URL(server.url);
    const request =
      `GET /v1/events/subscribe?${query} HTTP/1.1\r\nhost: ${host}\r\napikey: ${key}\r\n` +
      "accept: text/event-stream\r\n\r\n";
    const target = { host: hostname, port: Number(port), request, connections, recordArrivals };
    return this.#worker.call("open", { group, target });
  }

  /** Opens a group at any other server that sends `ready` first. */
  openAt(group: string, port: number, connections: number): Promise<void> {
    const target = {
      host: "127.0.0.1",
      port,
      request: "GET / HTTP/1.1\r\n\r\n",
      connections,
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

/**
 * Makes sure that each connection got exactly the events numbered `first` to `first + count - 1`, all in one order.
 *
 * @throws naming what is wrong.
 */
export function requireComplete(
  received: Pick<Received, "events" | "distinctOrders" | "sequenceSum">,
  first: number,
  count: number,
): void {
  const expectedSum = count * first + (count * (count - 1)) / 2;
  if (received.events.some((events) => events !== count)) {
    throw new Error(`A connection did not get exactly ${count} events.`);
  }
  if (received.distinctOrders !== 1) throw new Error("Connections got the events in different orders.");
  if (received.sequenceSum !== expectedSum) throw new Error("Events were lost or doubled.");
}
