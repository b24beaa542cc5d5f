import { connect, type Socket } from "node:net";
import { sseRequest, subscribeFrame, webSocketRequest } from "./our-requests.ts";

/** Over which transport a client comes back. */
export type StormTransport = "SSE" | "WebSocket";

/** Where a client goes, and as whom. */
export interface StormTarget {
  readonly transport: StormTransport;
  readonly host: string;
  readonly port: number;
  /** An anon key for SSE, a token for a WebSocket. */
  readonly credential: string;
  readonly collection: string;
}

const OPCODE_TEXT = 1;

/** One subscriber that keeps its cursor, on a bare socket: the load must not be what is measured. */
export class StormClient {
  readonly #target: StormTarget;
  #socket: Socket | undefined;
  #cursor: string | undefined;
  /** Since it was told so last: whether it went on from its cursor. */
  resumed = false;
  /** Events since the last {@link open}. */
  events = 0;

  constructor(target: StormTarget) {
    this.#target = target;
  }

  /** Resolves once the server said `ready` and sent `missed` events. */
  open(missed: number): Promise<void> {
    this.events = 0;
    this.resumed = false;
    const { host, port, transport, credential } = this.#target;
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      this.#socket = socket;
      let text = "";
      let isReady = false;
      const take = (message: Message): void => {
        this.#cursor = message.cursor;
        if (message.kind === "ready") this.resumed = message.resumed;
        if (message.kind === "ready") isReady = true;
        else this.events += 1;
        if (isReady && this.events === missed) resolve();
      };
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("The server closed a connection before it was live.")));
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        text = transport === "SSE" ? readSse(text, take) : this.#readWebSocket(text, take);
      });
      socket.write(transport === "SSE" ? this.#sseRequest() : webSocketRequest(credential));
    });
  }

  /** Drops the connection without a word. */
  drop(): void {
    this.#socket?.removeAllListeners("close");
    this.#socket?.destroy();
  }

  #sseRequest(): Buffer {
    const { credential, collection } = this.#target;
    const resume = this.#cursor === undefined ? {} : { "last-event-id": this.#cursor };
    return sseRequest({ collection }, { apikey: credential, ...resume });
  }

  #readWebSocket(text: string, take: (message: Message) => void): string {
    if (!text.startsWith("HTTP/1.1 ")) return readFrames(text, take);
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) return text;
    if (!text.startsWith("HTTP/1.1 101 ")) throw new Error("The server refused an upgrade.");
    const { collection } = this.#target;
    const cursor = this.#cursor === undefined ? {} : { cursor: this.#cursor };
    this.#socket?.write(subscribeFrame({ collection, ...cursor }));
    return readFrames(text.slice(end + 4), take);
  }
}

type Message =
  | { readonly kind: "ready"; readonly cursor: string; readonly resumed: boolean }
  | { readonly kind: "event"; readonly cursor: string };

const SSE_READY = /^event: ready\nid: (\S+)\ndata: .*"resumed":(true|false)/;
const SSE_EVENT = /^id: (\S+)\ndata: /;
const WEBSOCKET_READY = /^\{"type":"ready",.*"cursor":"([^"]+)","resumed":(true|false)/;
const WEBSOCKET_EVENT = /^\{"type":"event","channel":"[^"]+","cursor":"([^"]+)"/;

function readSse(text: string, take: (message: Message) => void): string {
  const body = text.startsWith("HTTP/1.1 ") ? text.slice(text.indexOf("\r\n\r\n") + 4) : text;
  if (text.startsWith("HTTP/1.1 ") && !text.includes("\r\n\r\n")) return text;
  const frames = body.split("\n\n");
  const rest = frames.pop() ?? "";
  for (const frame of frames) readMessage(frame, SSE_READY, SSE_EVENT, take);
  return rest;
}

/** Frames of a server, which are not masked; they are small here, and ASCII. */
function readFrames(text: string, take: (message: Message) => void): string {
  let rest = text;
  while (rest.length >= 2) {
    const short = rest.charCodeAt(1);
    const headBytes = short === 126 ? 4 : 2;
    if (rest.length < headBytes) break;
    const length = short === 126 ? rest.charCodeAt(2) * 256 + rest.charCodeAt(3) : short;
    if (rest.length < headBytes + length) break;
    const payload = rest.slice(headBytes, headBytes + length);
    if ((rest.charCodeAt(0) & 0x0f) === OPCODE_TEXT)
      readMessage(payload, WEBSOCKET_READY, WEBSOCKET_EVENT, take);
    rest = rest.slice(headBytes + length);
  }
  return rest;
}

function readMessage(text: string, ready: RegExp, event: RegExp, take: (message: Message) => void): void {
  const [, readyCursor, resumed] = ready.exec(text) ?? [];
  if (readyCursor !== undefined) take({ kind: "ready", cursor: readyCursor, resumed: resumed === "true" });
  const cursor = event.exec(text)?.[1];
  if (cursor !== undefined) take({ kind: "event", cursor });
}
