import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { monotonicMs } from "./clock.ts";
import type { ServerProcess } from "./server-process.ts";
import type { BenchTenant } from "./tenant.ts";

const RECEIVE_WITHIN_MS = 30_000;
const POLL_INTERVAL_MS = 10;
const EVENT = /"type":"insert"/g;
/** Longer than what is looked for: an event may be cut anywhere. */
const CARRIED = 15;

/** The only subscriber of one channel, and who writes the rows for it. */
export class RowProbe {
  readonly #collection: string;
  readonly #tenant: BenchTenant;
  readonly #database: Client;
  readonly #response: IncomingMessage;
  #received = 0;

  private constructor(collection: string, tenant: BenchTenant, database: Client, response: IncomingMessage) {
    this.#collection = collection;
    this.#tenant = tenant;
    this.#database = database;
    this.#response = response;
    let carried = "";
    response.setEncoding("latin1").on("data", (chunk: string) => {
      const text = carried + chunk;
      this.#received += text.match(EVENT)?.length ?? 0;
      carried = text.slice(Math.max(text.lastIndexOf('"insert"') + 1, text.length - CARRIED));
    });
  }

  /** Resolves once it is subscribed. */
  static async open(
    { url, databaseUrl }: ServerProcess,
    tenant: BenchTenant,
    collection: string,
  ): Promise<RowProbe> {
    const headers = { apikey: tenant.anonKey };
    const request = get(`${url}/v1/events/subscribe?collection=${collection}`, { headers });
    const [response]: IncomingMessage[] = await once(request, "response");
    if (response?.statusCode !== 200)
      throw new Error(`The server answered ${response?.statusCode} to the probe.`);
    await once(response, "data");
    const database = new Client({ connectionString: databaseUrl });
    await database.connect();
    return new RowProbe(collection, tenant, database, response);
  }

  /** Writes so many rows at an even pace, one transaction each; resolves once all of them came back. */
  async write(rows: number, perSecond: number): Promise<void> {
    const wanted = this.#received + rows;
    const startedAtMs = monotonicMs();
    for (let row = 0; row < rows; row += 1) {
      await delay(Math.max(0, startedAtMs + (row * 1000) / perSecond - monotonicMs()));
      const sql = `insert into ${this.#collection} (tenant_id, title) values ($1, $2)`;
      await this.#database.query(sql, [this.#tenant.id, "x".repeat(200)]);
    }
    const deadlineMs = monotonicMs() + RECEIVE_WITHIN_MS;
    while (this.#received < wanted) {
      if (monotonicMs() > deadlineMs) throw new Error(`${wanted - this.#received} rows did not come back.`);
      await delay(POLL_INTERVAL_MS);
    }
  }

  async close(): Promise<void> {
    this.#response.destroy();
    await this.#database.end();
  }
}
