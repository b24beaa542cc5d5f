import { bindToCore } from "./cpu-core.ts";
import type { FanOutServer } from "./fan-out-server.ts";
import type { OpenOptions, RunOptions, RunResult } from "./load-group.ts";
import type { LoadCalls } from "./load-worker.ts";
import { WorkerProcess } from "./worker-process.ts";

/**
 * A process that holds thousands of connections, publishes, and counts what
 * comes: every event, once, in order, on every connection.
 */
export class LoadGenerator {
  readonly #worker = new WorkerProcess<LoadCalls>(new URL("load-worker.ts", import.meta.url));

  private constructor() {}

  /** @param place - the core that it is bound to, best another one than the servers'; undefined: any. */
  static async start({ core }: { readonly core: number | undefined }): Promise<LoadGenerator> {
    const generator = new LoadGenerator();
    await bindToCore(generator.#worker.pid, core);
    return generator;
  }

  /** Opens connections, besides those that the group has; resolves once all are live. */
  async open(
    group: string,
    { port, greeting, publish, pong, chunked }: FanOutServer,
    options: OpenOptions,
  ): Promise<{ readonly connectSeconds: number }> {
    const server = {
      port,
      greeting,
      publish,
      ...(pong === undefined ? {} : { pong }),
      ...(chunked === undefined ? {} : { chunked }),
    };
    return { connectSeconds: await this.#worker.call("open", { group, server, options }) };
  }

  /** Publishes events on one connection, and resolves once all that read have them, or nothing comes any more. */
  run(group: string, options: RunOptions): Promise<RunResult> {
    return this.#worker.call("run", { group, options });
  }

  /** So many connections stop reading; they are not expected to get what is published from now on. */
  pauseReading(group: string, count: number): Promise<void> {
    return this.#worker.call("pauseReading", { group, count });
  }

  resumeReading(group: string): Promise<void> {
    return this.#worker.call("resumeReading", group);
  }

  /** Cuts all connections of the group. */
  closeGroup(group: string): Promise<void> {
    return this.#worker.call("close", group);
  }

  close(): Promise<void> {
    return this.#worker.close();
  }
}
