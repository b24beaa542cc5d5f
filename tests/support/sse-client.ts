import { get, type IncomingMessage } from "node:http";
import { constants, createGunzip } from "node:zlib";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { until } from "./until.ts";

/** A change, as a plain message carries it. */
export interface ChangeMessage {
  readonly type: string;
  readonly documentId: string;
  readonly document: Record<string, unknown>;
}

/** One SSE response, read as it comes. */
export class SseClient {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** All events so far, `ready` and `reset` among them. */
  readonly events: EventSourceMessage[] = [];
  /** What EventSource would send to resume: also heartbeats move it. */
  lastEventId = "";
  /** The body of an answer that is no event stream. */
  body = "";
  retryMs: number | undefined;
  ended = false;
  /** Of the body, as it came. */
  receivedBytes = 0;
  /** Why what came is not gzip, where that was said. */
  decodingError: Error | undefined;
  readonly #response: IncomingMessage;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    const parser = createParser({
      onEvent: (event) => this.events.push(event),
      onRetry: (milliseconds) => {
        this.retryMs = milliseconds;
      },
    });
    const decoder = new TextDecoder();
    let line = "";
    let id: string | undefined;
    const read = (bytes: Buffer): void => {
      const text = decoder.decode(bytes, { stream: true });
      this.body += this.status === 200 ? "" : text;
      const lines = (line + text).split("\n");
      // A packet may end in the middle of one.
      line = lines.pop() ?? "";
      for (const each of lines) {
        if (each.startsWith("id: ")) id = each.slice("id: ".length);
        else if (each === "") this.lastEventId = id ?? this.lastEventId;
      }
      parser.feed(text);
    };
    const end = (): void => {
      this.ended = true;
    };
    response.on("data", (bytes: Buffer) => {
      this.receivedBytes += bytes.length;
    });
    if (this.headers["content-encoding"] === "gzip") {
      // As browsers do: a stream may end without its trailer.
      const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
      gunzip.on("data", read);
      gunzip.on("end", end);
      gunzip.on("error", (error) => {
        this.decodingError = error;
        end();
      });
      response.on("data", (bytes: Buffer) => gunzip.write(bytes));
      response.on("close", () => gunzip.end());
      // Its close follows, and is what counts.
      response.on("error", () => undefined);
    } else {
      response.on("data", read);
      response.on("close", end);
      response.on("error", end);
    }
  }

  /** Resolves with a stream's head, or with the whole of another answer. */
  static async open(url: URL | string, headers: Record<string, string> = {}): Promise<SseClient> {
    const client = await new Promise<SseClient>((resolve, reject) => {
      const request = get(url, { headers, agent: false }, (response) => {
        resolve(new SseClient(response));
      });
      request.on("error", reject);
    });
    if (client.status !== 200) await client.waitForEnd();
    return client;
  }

  /** Plain messages: the changes or topic events. */
  get messages(): unknown[] {
    return this.events
      .filter(({ event }) => event === undefined)
      .map(({ data }) => JSON.parse(data) as unknown);
  }

  get changes(): ChangeMessage[] {
    return this.messages as ChangeMessage[];
  }

  /** The error answer, parsed. */
  get problem(): { code: string; detail: string; status: number; title: string } {
    return JSON.parse(this.body) as { code: string; detail: string; status: number; title: string };
  }

  named(name: string): EventSourceMessage[] {
    return this.events.filter(({ event }) => event === name);
  }

  async waitForMessages(count: number): Promise<unknown[]> {
    await until(() => this.messages.length >= count, {
      describe: () => `${count} messages, got ${this.messages.length}`,
    });
    return this.messages;
  }

  async waitForEvent(name: string, count = 1): Promise<EventSourceMessage> {
    await until(() => this.named(name).length >= count, {
      describe: () => `event ${name}, got ${JSON.stringify(this.events.slice(-3))}`,
    });
    const event = this.named(name)[count - 1];
    if (event === undefined) throw new Error(`no event ${name}`);
    return event;
  }

  async waitForEnd(): Promise<void> {
    await until(() => this.ended, { describe: () => "the end of the stream" });
  }

  /** Stops reading: the peer's buffers fill. */
  pause(): void {
    this.#response.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#response.resume();
  }

  close(): void {
    this.#response.destroy();
  }
}
