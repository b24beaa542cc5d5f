import { randomUUID } from "node:crypto";
import { decodeProtectedHeader } from "jose";
import { signLike } from "../../tests/support/realtime-token.ts";
import { ConnectionStorm, type StormFigures } from "./connection-storm.ts";
import { bindToCore } from "./cpu-core.ts";
import { asFanOutServer, FAN_OUT_GRANT, webSocketGreeting } from "./fan-out-ours.ts";
import type { Exchange, FanOutServer } from "./fan-out-server.ts";
import { fetchToken } from "./realtime-token.ts";
import { ServerProcess, type ServerProcessOptions } from "./server-process.ts";
import { untilConnections } from "./server-usage.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";

/** As what clients are let in. */
export type Admission = "a key, SSE" | "one token, WebSocket" | "a token each, WebSocket";

/** The server under test, for storms of connections. */
export class StormedServer {
  readonly #server: ServerProcess;
  readonly #crowd: BenchTenant;
  readonly #storm: ConnectionStorm;

  private constructor(server: ServerProcess, crowd: BenchTenant, storm: ConnectionStorm) {
    this.#server = server;
    this.#crowd = crowd;
    this.#storm = storm;
  }

  static async start({
    core,
    profileDir,
  }: Pick<ServerProcessOptions, "profileDir"> & {
    readonly core: number | undefined;
  }): Promise<StormedServer> {
    const server = await ServerProcess.start({ profileDir });
    try {
      await bindToCore(server.pid, core);
      const storm = await ConnectionStorm.start();
      await storm.openPresent(await asFanOutServer(server, await createTenant(server, "present"), "sse"));
      return new StormedServer(server, await createTenant(server, "crowd", "team"), storm);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Resolves once all are live and gone again. */
  async storm(admission: Admission, connections: number): Promise<StormFigures> {
    const transport = admission === "a key, SSE" ? "sse" : "websocket";
    const server: FanOutServer = await asFanOutServer(this.#server, this.#crowd, transport);
    const greetings = admission === "a token each, WebSocket" ? await this.#mint(connections) : undefined;
    const figures = await this.#storm.run(server, {
      connections,
      watched: true,
      ...(greetings === undefined ? {} : { greetings }),
    });
    // Only the one is left that was there before.
    await untilConnections(this.#server.url, 1);
    return figures;
  }

  async close(): Promise<void> {
    await this.#storm.close();
    await this.#server.stop();
  }

  /** By another process than the server, which would have the garbage of it during the storm. */
  async #mint(count: number): Promise<readonly (readonly Exchange[])[]> {
    const one = await fetchToken(this.#server, this.#crowd, FAN_OUT_GRANT);
    const header = decodeProtectedHeader(one);
    const tokens = Array.from({ length: count }, () =>
      signLike(one, this.#server.tokenSecret, { header, claims: { jti: randomUUID() } }),
    );
    return (await Promise.all(tokens)).map(webSocketGreeting);
  }
}
