import { setTimeout as delay } from "node:timers/promises";
import { ConnectionStorm, type StormFigures } from "./connection-storm.ts";
import { bindToCore } from "./cpu-core.ts";
import { FAN_OUT_TOPIC } from "./fan-out-event.ts";
import { asFanOutServer, webSocketGreeting } from "./fan-out-ours.ts";
import type { Exchange, FanOutServer } from "./fan-out-server.ts";
import { fetchTokenFor } from "./realtime-token.ts";
import { ServerProcess, type ServerProcessOptions } from "./server-process.ts";
import { fetchServerUsage } from "./server-usage.ts";
import { createTenant, type BenchTenant } from "./tenant.ts";

/** As what clients are let in. */
export type Admission = "a key, SSE" | "one token, WebSocket" | "a token each, WebSocket";

const MINTING_AT_ONCE = 50;
const GONE_WITHIN_MS = 30_000;
const POLL_INTERVAL_MS = 20;

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
    await this.#untilGone();
    return figures;
  }

  async close(): Promise<void> {
    await this.#storm.close();
    await this.#server.stop();
  }

  async #mint(count: number): Promise<readonly (readonly Exchange[])[]> {
    const greetings: (readonly Exchange[])[] = [];
    while (greetings.length < count) {
      const batch = Array.from({ length: Math.min(MINTING_AT_ONCE, count - greetings.length) }, () =>
        fetchTokenFor(this.#server, this.#crowd, { topics: [FAN_OUT_TOPIC] }),
      );
      greetings.push(...(await Promise.all(batch)).map(webSocketGreeting));
    }
    return greetings;
  }

  /** Only the one is left that was there before. */
  async #untilGone(): Promise<void> {
    const deadline = Date.now() + GONE_WITHIN_MS;
    while ((await fetchServerUsage(this.#server.url)).connections > 1) {
      if (Date.now() > deadline)
        throw new Error("The server still has connections of clients that are gone.");
      await delay(POLL_INTERVAL_MS);
    }
  }
}
