import { freePort } from "../../tests/support/free-port.ts";
import { bindToCore } from "./cpu-core.ts";
import { asFanOutServer } from "./fan-out-ours.ts";
import type { FanOutPeer, FanOutPlace, FanOutServer, FanOutTransport } from "./fan-out-server.ts";
import { HeapInspector } from "./heap-inspector.ts";
import { ServerProcess } from "./server-process.ts";
import { createTenant } from "./tenant.ts";

/** Ours, started so that it can be asked what it holds. */
export class InspectedPeer implements FanOutPeer {
  readonly name = "ours";
  readonly transports = ["websocket", "sse"] as const;
  readonly #profileDir: string | undefined;

  /** @param profileDir - where CPU profiles go; undefined: none are taken. */
  constructor(profileDir: string | undefined) {
    this.#profileDir = profileDir;
  }

  prepare(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async start(transport: FanOutTransport, { core }: FanOutPlace): Promise<FanOutServer> {
    const inspectPort = await freePort();
    const server = await ServerProcess.start({ profileDir: this.#profileDir, inspectPort });
    try {
      await bindToCore(server.pid, core);
      const inspector = await HeapInspector.attach(inspectPort);
      return {
        ...(await asFanOutServer(server, await createTenant(server, "bench", "team"), transport)),
        collectGarbage: async () => void (await inspector.fetchHeld()),
        close() {
          inspector.close();
          return server.stop();
        },
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  }
}
