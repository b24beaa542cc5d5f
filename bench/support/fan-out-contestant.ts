import { CORES } from "./cpu-core.ts";
import type { FanOutPeer, FanOutServer, FanOutTransport } from "./fan-out-server.ts";
import { LoadGenerator } from "./load-generator.ts";
import type { RunOptions, RunResult } from "./load-group.ts";
import { cpuSecondsOf } from "./process-usage.ts";

/** What a run took the server, and what the clients got. */
export interface FanOutSample extends RunResult {
  readonly cpuSeconds: number;
}

const GROUP = "all";

/** A server under test and the process that loads it, each on a core of its own. */
export class FanOutContestant {
  readonly peer: FanOutPeer;
  readonly server: FanOutServer;
  readonly #generator: LoadGenerator;
  #connections = 0;

  private constructor(peer: FanOutPeer, server: FanOutServer, generator: LoadGenerator) {
    this.peer = peer;
    this.server = server;
    this.#generator = generator;
  }

  static async start(peer: FanOutPeer, transport: FanOutTransport): Promise<FanOutContestant> {
    const server = await peer.start(transport, { core: CORES.server });
    try {
      return new FanOutContestant(peer, server, await LoadGenerator.start({ core: CORES.load }));
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** As tables have it. */
  get title(): string {
    return `${this.server.name}, ${this.server.transport === "sse" ? "SSE" : "WebSocket"}`;
  }

  /** Has so many connections from now on, all of them new. */
  async connect(connections: number): Promise<void> {
    if (this.#connections > 0) await this.#generator.closeGroup(GROUP);
    this.#connections = 0;
    await this.connectMore(connections);
  }

  /** Has so many connections more. */
  async connectMore(connections: number): Promise<void> {
    this.#connections += connections;
    await this.#generator.open(GROUP, this.server, { connections });
  }

  async run(load: RunOptions): Promise<FanOutSample> {
    const cpuBefore = await cpuSecondsOf(this.server.pids);
    const result = await this.#generator.run(GROUP, load);
    return { ...result, cpuSeconds: (await cpuSecondsOf(this.server.pids)) - cpuBefore };
  }

  /** So many of the connections do not read any more. */
  pauseReading(connections: number): Promise<void> {
    return this.#generator.pauseReading(GROUP, connections);
  }

  async close(): Promise<void> {
    await this.#generator.close();
    await this.server.close();
  }
}

/** @throws when a subscriber did not get each event once, in order. */
export function requireAll({ title }: FanOutContestant, sample: RunResult): void {
  if (sample.lost === 0 && sample.outOfOrder === 0) return;
  throw new Error(
    `${title}: ${sample.lost} of ${sample.expected} deliveries were lost, ${sample.outOfOrder} out of order.`,
  );
}
