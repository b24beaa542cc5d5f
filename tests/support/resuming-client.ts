import { setTimeout as delay } from "node:timers/promises";
import { SseClient, type ChangeMessage } from "./sse-client.ts";

/** What came without a break: from one `ready` that did not resume until the next, over any number of connections. */
export interface Stretch {
  readonly changes: ChangeMessage[];
  /** What `mark` said when its `ready` had come. */
  readonly readyAtMark: number;
}

/** What a {@link ResumingClient} subscribes to. */
export interface ResumingClientOptions {
  readonly serverUrl: string;
  readonly apikey: string;
  readonly collection: string;
  /** A filter, as JSON. */
  readonly where?: string;
  /** Read once the client knows that it is live. */
  readonly mark: () => number;
}

const RETRY_MS = 50;
const ANSWER_TIMEOUT_MS = 60_000;

/** A client like `EventSource`: it comes back by itself with the last id that it has seen. */
export class ResumingClient {
  readonly stretches: Stretch[] = [];
  /** How often a connection went on where the one before had ended. */
  resumes = 0;
  readonly #options: ResumingClientOptions;
  readonly #running: Promise<void>;
  #connection: SseClient | undefined;
  #lastEventId: string | undefined;
  #stopped = false;

  constructor(options: ResumingClientOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get last(): Stretch | undefined {
    return this.stretches.at(-1);
  }

  /** Cuts the connection; the client comes back. */
  cut(): void {
    this.#connection?.close();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.cut();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const connection = await this.#connect();
      if (connection !== undefined) await this.#read(connection);
      await delay(RETRY_MS);
    }
  }

  async #connect(): Promise<SseClient | undefined> {
    const { serverUrl, apikey, collection, where } = this.#options;
    const url = new URL("/v1/events/subscribe", serverUrl);
    url.searchParams.set("collection", collection);
    if (where !== undefined) url.searchParams.set("where", where);
    const resume = this.#lastEventId === undefined ? {} : { "last-event-id": this.#lastEventId };
    try {
      const connection = await Promise.race([SseClient.open(url, { apikey, ...resume }), noAnswer()]);
      if (connection.status === 200) return connection;
      connection.close();
      // While a database is away.
      if (connection.status !== 503) throw new Error(`The subscription was answered ${connection.status}.`);
      return undefined;
    } catch (error) {
      // While the server is away.
      if (error instanceof Error && "code" in error) return undefined;
      throw error;
    }
  }

  async #read(connection: SseClient): Promise<void> {
    this.#connection = connection;
    let read = 0;
    for (;;) {
      const ended = connection.ended || this.#stopped;
      for (; read < connection.events.length; read += 1) this.#take(connection, read);
      if (ended) break;
      await delay(5);
    }
    connection.close();
  }

  #take({ events }: SseClient, index: number): void {
    const event = events[index];
    if (event === undefined) return;
    if (event.id !== undefined) this.#lastEventId = event.id;
    if (event.event === undefined) {
      this.last?.changes.push(JSON.parse(event.data));
    } else if (event.event === "ready") {
      const { resumed }: { resumed: boolean } = JSON.parse(event.data);
      if (resumed) this.resumes += 1;
      else this.stretches.push({ changes: [], readyAtMark: this.#options.mark() });
    }
  }
}

/** A server that has the request and never answers would leave the client waiting for ever. */
function noAnswer(): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(
      () => reject(new Error(`There was no answer within ${ANSWER_TIMEOUT_MS} ms.`)),
      ANSWER_TIMEOUT_MS,
    ).unref();
  });
}
