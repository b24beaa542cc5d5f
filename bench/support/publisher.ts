import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { monotonicMs } from "./clock.ts";
import { sequenceText } from "./frame-scanner.ts";
import type { ServerProcess } from "./server-process.ts";

/** The topic that benchmarks publish to. */
export const TOPIC = "bench.tick";

/** Of an event's data, as JSON. */
export const DATA_BYTES = 300;

const REQUESTS_AT_ONCE = 16;
const PAD = "x".repeat(DATA_BYTES - JSON.stringify({ pad: "", seq: sequenceText(0) }).length);

/** Publishes numbered events over HTTP, as an application does. */
export class Publisher {
  readonly #pool: Pool;

  constructor({ url }: ServerProcess) {
    this.#pool = new Pool(url, { connections: REQUESTS_AT_ONCE });
  }

  /** At a steady rate, or, without one, as fast as the server answers. */
  async publish(
    key: string,
    events: { readonly first: number; readonly count: number; readonly perSecond: number | undefined },
  ): Promise<void> {
    const { first, count, perSecond } = events;
    const startedAtMs = monotonicMs();
    const pending = new Set<Promise<void>>();
    for (let index = 0; index < count; index += 1) {
      if (perSecond !== undefined) {
        await delay(Math.max(0, startedAtMs + (index * 1000) / perSecond - monotonicMs()));
      }
      const request = this.#publishOne(key, first + index).finally(() => pending.delete(request));
      pending.add(request);
      if (pending.size >= REQUESTS_AT_ONCE) await Promise.race(pending);
    }
    await Promise.all(pending);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #publishOne(key: string, sequence: number): Promise<void> {
    const { statusCode, body } = await this.#pool.request({
      method: "POST",
      path: "/v1/events/publish",
      headers: { apikey: key, "content-type": "application/json" },
      body: JSON.stringify({ topic: TOPIC, data: { pad: PAD, seq: sequenceText(sequence) } }),
    });
    await body.dump();
    if (statusCode !== 202) throw new Error(`The server answered ${statusCode} to publish.`);
  }
}
