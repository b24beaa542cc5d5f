import { freePort } from "../../tests/support/free-port.ts";
import { bindToCore } from "./cpu-core.ts";
import { HeapInspector, type HeldMemory } from "./heap-inspector.ts";
import { ServerProcess, type ServerProcessOptions } from "./server-process.ts";

/** The server under test, started so that it can be asked what it holds. */
export class InspectedServer {
  readonly process: ServerProcess;
  readonly #inspector: HeapInspector;

  private constructor(server: ServerProcess, inspector: HeapInspector) {
    this.process = server;
    this.#inspector = inspector;
  }

  /** @param core - that the server is bound to; its database is not. */
  static async start(
    options: ServerProcessOptions & { readonly core: number | undefined },
  ): Promise<InspectedServer> {
    const inspectPort = await freePort();
    const server = await ServerProcess.start({ ...options, inspectPort });
    try {
      await bindToCore(server.pid, options.core);
      return new InspectedServer(server, await HeapInspector.attach(inspectPort));
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Collects garbage, and looks what is left. */
  fetchHeld(): Promise<HeldMemory> {
    return this.#inspector.fetchHeld();
  }

  close(): Promise<void> {
    this.#inspector.close();
    return this.process.stop();
  }
}
