import { asFanOutServer } from "./fan-out-ours.ts";
import type { FanOutPeer, FanOutPlace, FanOutServer, FanOutTransport } from "./fan-out-server.ts";
import { InspectedServer } from "./inspected-server.ts";
import { createTenant } from "./tenant.ts";

/** Ours, whose garbage can be collected. */
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
    const server = await InspectedServer.start({ core, profileDir: this.#profileDir });
    try {
      const tenant = await createTenant(server.process, "bench", "team");
      return {
        ...(await asFanOutServer(server.process, tenant, transport)),
        collectGarbage: async () => void (await server.fetchHeld()),
        close: () => server.close(),
      };
    } catch (error) {
      await server.close();
      throw error;
    }
  }
}
