import type { FloorCalls, FloorLoad } from "./floor-worker.ts";
import { Publisher, TOPIC } from "./publisher.ts";
import { ServerProcess } from "./server-process.ts";
import { fetchServerUsage } from "./server-usage.ts";
import { requireComplete, Subscribers } from "./subscribers.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";
import { fetchWriteCalls } from "./write-calls.ts";
import { WorkerProcess } from "./worker-process.ts";

/** How many events, and how fast; undefined: at once. */
export interface Load {
  readonly events: number;
  readonly perSecond: number | undefined;
}

/** What a run took. */
export interface RunCost {
  readonly cpuSeconds: number;
  /** Writes by the process, to whatever it be; undefined where the system does not count them. */
  readonly writes: number | undefined;
  /** Reads from sockets by the clients. */
  readonly reads: number;
  /** Received by the clients. */
  readonly bytes: number;
}

/** The server under test and the floor that it is compared with, each with subscribers in one third process. */
export class FanOutPeers {
  readonly #server: ServerProcess;
  readonly #crowd: BenchTenant;
  readonly #single: BenchTenant;
  readonly #publisher: Publisher;
  readonly #subscribers = new Subscribers();
  readonly #floor = new WorkerProcess<FloorCalls>(new URL("floor-worker.ts", import.meta.url));
  #connections = 0;
  #nextSequence = 1;

  private constructor(server: ServerProcess, crowd: BenchTenant, single: BenchTenant) {
    this.#server = server;
    this.#crowd = crowd;
    this.#single = single;
    this.#publisher = new Publisher(server);
  }

  static async start(profileDir: string | undefined): Promise<FanOutPeers> {
    const server = await ServerProcess.start({ profileDir });
    const peers = new FanOutPeers(
      server,
      await createTenant(server, "crowd"),
      await createTenant(server, "single"),
    );
    const subscription = { key: peers.#single.anonKey, subject: { topic: TOPIC }, connections: 1 };
    await peers.#subscribers.open("single", server, subscription);
    return peers;
  }

  /** Gives server and floor so many subscribers each. */
  async connect(connections: number): Promise<void> {
    if (this.#connections === connections) return;
    if (this.#connections > 0) {
      await this.#subscribers.closeGroup("crowd");
      await this.#subscribers.closeGroup("floor");
    }
    this.#connections = connections;
    const port = await this.#floor.call("listen", {});
    await this.#subscribers.openAt("floor", port, connections);
    const subscription = { key: this.#crowd.anonKey, subject: { topic: TOPIC }, connections };
    await this.#subscribers.open("crowd", this.#server, subscription);
  }

  /** Publishes to all the server's subscribers. */
  runServer(load: Load): Promise<RunCost> {
    return this.#publishTo("crowd", this.#crowd, load);
  }

  /** Publishes the same to a tenant with a single subscriber. */
  runPublishing(load: Load): Promise<RunCost> {
    return this.#publishTo("single", this.#single, load);
  }

  runFloor(load: Load, shape: Pick<FloorLoad, "bytesPerEvent" | "eventsPerWrite">): Promise<RunCost> {
    return this.#measure("floor", load.events, {
      prepare: (firstSequence) =>
        this.#floor.call("prepare", { ...shape, firstSequence, events: load.events }),
      send: () => this.#floor.call("send", { eventsPerSecond: load.perSecond }),
      cpuSeconds: () => this.#floor.call("cpuSeconds", {}),
      writes: () => Promise.resolve(undefined),
    });
  }

  async close(): Promise<void> {
    await this.#subscribers.close();
    await this.#floor.close();
    await this.#publisher.close();
    await this.#server.stop();
  }

  #publishTo(group: string, { secretKey }: BenchTenant, load: Load): Promise<RunCost> {
    return this.#measure(group, load.events, {
      prepare: () => Promise.resolve(),
      send: (first) =>
        this.#publisher.publish(secretKey, { first, count: load.events, perSecond: load.perSecond }),
      cpuSeconds: async () => (await fetchServerUsage(this.#server.url)).cpuSeconds,
      writes: () => fetchWriteCalls(this.#server.pid),
    });
  }

  async #measure(
    group: string,
    events: number,
    peer: {
      prepare(first: number): Promise<void>;
      send(first: number): Promise<void>;
      cpuSeconds(): Promise<number>;
      writes(): Promise<number | undefined>;
    },
  ): Promise<RunCost> {
    const first = this.#nextSequence;
    this.#nextSequence += events;
    await peer.prepare(first);
    const cpuBefore = await peer.cpuSeconds();
    const writesBefore = await peer.writes();
    await peer.send(first);
    const { bytes, reads, ...received } = await this.#subscribers.receive(group, events);
    const writesAfter = await peer.writes();
    const cpuAfter = await peer.cpuSeconds();
    requireComplete(received, first, events);
    const writes =
      writesBefore === undefined || writesAfter === undefined ? undefined : writesAfter - writesBefore;
    return { cpuSeconds: cpuAfter - cpuBefore, writes, reads, bytes };
  }
}
