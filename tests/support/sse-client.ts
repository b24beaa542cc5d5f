import { get, type IncomingMessage } from "node:http";
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
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      this.body += this.status === 200 ? "" : text;
      for (const [, id] of text.matchAll(/^id: (.*)$/gm)) this.lastEventId = id ?? "";
      parser.feed(text);
    });
    response.on("close", () => {
      this.ended = true;
    });
    response.on("error", () => {
      this.ended = true;
    });
  }

  /** Resolves with the answer's head, whatever its status. */
  static open(url: URL | string, headers: Record<string, string> = {}): Promise<SseClient> {
    return new Promise((resolve, reject) => {
      const request = get(url, { headers, agent: false }, (response) => {
        resolve(new SseClient(response));
      });
      request.on("error", reject);
    });
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
