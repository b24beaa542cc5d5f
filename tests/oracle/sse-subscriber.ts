import { get, type ClientRequest, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { EventSourceMessage } from "eventsource-parser";
import { Gate } from "./gate.ts";
import { SseBlocks } from "./sse-blocks.ts";
import { Receiver } from "./receiver.ts";
import type { Subscriber, SubscriberTools } from "./subscriber.ts";

const RETRY_MS = 30;
/** Longer than the server takes to start its sources, and to make a slot. */
const ANSWER_TIMEOUT_MS = 60_000;
/** The server or a database is away, or the collection is too young to be known. */
const PASSING = new Set([404, 429, 503]);

/** Subscribes by bare HTTP, and goes on at its last cursor. */
export class SseSubscriber extends Receiver implements Subscriber {
  readonly #tools: SubscriberTools;
  readonly #presence = new Gate();
  readonly #done: Promise<void>;
  #request: ClientRequest | undefined;
  #cursor: string | undefined;
  #isClosed = false;
  readonly #closing = new AbortController();

  constructor(tools: SubscriberTools) {
    super(tools);
    this.#tools = tools;
    this.#done = this.#run();
  }

  async leave(): Promise<void> {
    this.#presence.close();
    // Also one without an answer, which would be that to a cursor that is forgotten.
    this.#request?.destroy();
    if (this.plan.forgets) this.#cursor = undefined;
    await Promise.resolve();
  }

  async comeBack(): Promise<void> {
    this.#presence.open();
    await Promise.resolve();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort();
    await this.comeBack();
    this.#request?.destroy();
    await this.#done;
  }

  async #run(): Promise<void> {
    let credential = await this.#fetchCredential();
    while (!this.#isClosed) {
      await this.#presence.passed();
      const response = await this.#ask(credential);
      if (response?.statusCode === 200) await this.#read(response);
      else if (response !== undefined && (await this.#refuse(response)) === "expired") {
        credential = await this.#fetchCredential();
      }
      await delay(RETRY_MS);
    }
  }

  /** Whoever is closed needs none. */
  async #fetchCredential(): Promise<string> {
    const { signal } = this.#closing;
    return await this.#tools.access.fetchCredential(signal).catch((error: unknown) => {
      if (signal.aborted) return "";
      throw error;
    });
  }

  async #ask(credential: string): Promise<IncomingMessage | undefined> {
    const { plan, access } = this.#tools;
    const url = new URL("/v1/events/subscribe", access.url);
    if (plan.collection === undefined) url.searchParams.set("topic", "oracle.>");
    else url.searchParams.set("collection", plan.collection);
    if (plan.where !== undefined) url.searchParams.set("where", JSON.stringify(plan.where));
    if (plan.snapshot) url.searchParams.set("snapshot", "true");
    const resume = this.#cursor === undefined ? {} : { "last-event-id": this.#cursor };
    return await new Promise((resolve) => {
      const headers = { authorization: `Bearer ${credential}`, ...resume };
      const request = get(url, { headers, agent: false, timeout: ANSWER_TIMEOUT_MS }, resolve);
      this.#request = request;
      request.on("timeout", () => {
        this.violations.push(`no answer and no sign of life within ${String(ANSWER_TIMEOUT_MS)} ms`);
        request.destroy();
      });
      // The server is away.
      request.on("error", () => resolve(undefined));
    });
  }

  async #read(response: IncomingMessage): Promise<void> {
    // It was cut off before `ready`: all comes again.
    if (this.#cursor === undefined) this.forget();
    this.observations.add({ kind: "opened", withCursor: this.#cursor !== undefined });
    const blocks = new SseBlocks((item) => {
      if ("cursor" in item) this.#cursor = item.cursor;
      else this.#take(item.event);
    });
    response.setEncoding("utf8").on("data", (text: string) => {
      if (!response.destroyed) blocks.feed(text);
    });
    await new Promise<void>((resolve) => {
      response.on("error", () => undefined);
      response.on("close", resolve);
      if (this.#isClosed || !this.#presence.isOpen) response.destroy();
    });
    this.observations.add({ kind: "lost" });
  }

  async #refuse(response: IncomingMessage): Promise<"expired" | "passing" | "ended"> {
    let body = "";
    try {
      for await (const text of response.setEncoding("utf8")) body += String(text);
    } catch {
      // Cut off in the middle of the answer: the next one tells.
      return "passing";
    }
    if (PASSING.has(response.statusCode ?? 0)) return "passing";
    if (body.includes("token_expired")) return "expired";
    this.violations.push(`was answered ${String(response.statusCode)}: ${body}`);
    this.#isClosed = true;
    return "ended";
  }

  #take({ event, id, data }: EventSourceMessage): void {
    const message: unknown = JSON.parse(data);
    if (event === "ready") this.ready((message as { resumed: boolean }).resumed);
    else if (event === "reset") this.reset((message as { reason: string }).reason);
    else if (event === "snapshot") {
      const { documents, documentIds } = message as Parameters<Receiver["snapshot"]>[0];
      this.snapshot({ documents, documentIds });
    } else this.event(message as Parameters<Receiver["event"]>[0]);
    if (id !== undefined) this.#cursor = id;
  }
}
