import type { ServerMessage } from "@paperdb/protocol";
import { WebSocket } from "ws";
import { until } from "./until.ts";

/** How a {@link WebSocketClient} connects. */
export interface WebSocketClientOptions {
  /** Goes into the query. */
  readonly token?: string;
  /** `paperdb.v1` unless told; undefined: a raw client. */
  readonly protocol?: string | undefined;
  readonly headers?: Record<string, string>;
  /** Whether `permessage-deflate` is offered, and used for all that is sent. */
  readonly compressed?: boolean;
  /** Default `/realtime`. */
  readonly path?: string;
}

/** An answer other than 101. */
export interface Refusal {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly code: string;
  readonly detail: string;
}

/** A WebSocket of `ws`, and all that came by it. */
export class WebSocketClient {
  /** All messages so far, as text. */
  readonly texts: string[] = [];
  /** Payloads of pongs. */
  readonly pongs: string[] = [];
  pings = 0;
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly socket: WebSocket;

  private constructor(serverUrl: string, options: WebSocketClientOptions) {
    const url = new URL(options.path ?? "/realtime", serverUrl.replace(/^http/, "ws"));
    if (options.token !== undefined) url.searchParams.set("token", options.token);
    const protocol = "protocol" in options ? options.protocol : "paperdb.v1";
    this.socket = new WebSocket(url, protocol === undefined ? [] : [protocol], {
      headers: options.headers ?? {},
      perMessageDeflate: options.compressed === true && { threshold: 0 },
    });
    this.socket.on("message", (data: Buffer, isBinary) => {
      this.texts.push(isBinary ? `binary ${data.length}` : data.toString());
    });
    this.socket.on("ping", () => {
      this.pings += 1;
    });
    this.socket.on("pong", (data) => this.pongs.push(data.toString()));
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    // Its close follows, and is what counts.
    this.socket.on("error", () => undefined);
  }

  /** Resolves once it is open. */
  static async open(serverUrl: string, options: WebSocketClientOptions): Promise<WebSocketClient> {
    const client = new WebSocketClient(serverUrl, options);
    await new Promise<void>((resolve, reject) => {
      client.socket.once("open", resolve);
      client.socket.once("error", reject);
    });
    return client;
  }

  /** Resolves with the answer of a server that does not upgrade. */
  static async refused(serverUrl: string, options: WebSocketClientOptions): Promise<Refusal> {
    const client = new WebSocketClient(serverUrl, options);
    return new Promise((resolve, reject) => {
      client.socket.once("open", () => {
        client.socket.terminate();
        reject(new Error("The server has upgraded."));
      });
      client.socket.once("error", reject);
      client.socket.once("unexpected-response", (_request, response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          body += text;
        });
        response.on("error", reject);
        response.on("end", () => {
          const { code, detail } = JSON.parse(body) as { code: string; detail: string };
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, code, detail });
        });
      });
    });
  }

  /** All messages so far, parsed. */
  get messages(): ServerMessage[] {
    return this.texts.map((text) => JSON.parse(text) as ServerMessage);
  }

  ofType<Type extends ServerMessage["type"]>(type: Type): Extract<ServerMessage, { type: Type }>[] {
    return this.messages.filter(
      (message): message is Extract<ServerMessage, { type: Type }> => message.type === type,
    );
  }

  /** What the events carried, of one channel or of all. */
  events(channel?: string): unknown[] {
    return this.ofType("event")
      .filter((message) => channel === undefined || message.channel === channel)
      .map(({ event }) => event);
  }

  send(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** Waits for so many messages of a type. */
  async waitFor<Type extends ServerMessage["type"]>(
    type: Type,
    count = 1,
  ): Promise<Extract<ServerMessage, { type: Type }>> {
    await until(() => this.ofType(type).length >= count, {
      describe: () => `${count} ${type}, got ${JSON.stringify(this.messages.slice(-5))}, ${this.#state()}`,
    });
    const found = this.ofType(type)[count - 1];
    if (found === undefined) throw new Error(`no ${type}`);
    return found;
  }

  async waitForTexts(count: number): Promise<readonly string[]> {
    await until(() => this.texts.length >= count, {
      describe: () => `${count} messages, got ${this.texts.length}, ${this.#state()}`,
    });
    return this.texts;
  }

  /** Subscribes, and waits for `ready`. */
  async subscribe(
    id: string,
    subject: { collection: string } | { topic: string },
    cursor?: string,
  ): Promise<Extract<ServerMessage, { type: "ready" }>> {
    this.send({ type: "subscribe", id, ...subject, ...(cursor === undefined ? {} : { cursor }) });
    const before = this.texts.length;
    return until(
      () =>
        this.ofType("ready").findLast(
          (ready) => ready.id === id && this.texts.lastIndexOf(JSON.stringify(ready)) >= before,
        ),
      { describe: () => `ready ${id}, got ${JSON.stringify(this.messages.slice(-5))}, ${this.#state()}` },
    );
  }

  async waitForClose(): Promise<{ readonly code: number; readonly reason: string }> {
    return until(() => this.closed, { describe: "the close" });
  }

  /** Ends it without a goodbye. */
  close(): void {
    this.socket.terminate();
  }

  #state(): string {
    return this.closed === undefined ? "open" : `closed ${JSON.stringify(this.closed)}`;
  }
}
