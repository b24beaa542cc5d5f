import { createServer } from "node:http";
import type { Socket } from "node:net";
import { Peer } from "../../packages/server/src/transport/websocket/peer.ts";
import { upgradeAnswer } from "../../packages/server/src/transport/websocket/upgrade-answer.ts";
import { textFrame } from "../../packages/server/src/transport/websocket/websocket-frame.ts";
import type { MessageDigest } from "./websocket-reader.ts";
import { digestOf } from "./websocket-reader.ts";

/** Sends the same texts to every WebSocket, framed as the server frames them. */
export interface FrameServer {
  /** With `ws:`. */
  readonly url: string;
  close(): Promise<void>;
}

const MEBIBYTE = 1024 * 1024;
/** Where a frame's header changes its form, and the largest event. */
const SIZES_BYTES = [0, 1, 125, 126, 65_535, 65_536, 16 * MEBIBYTE];
const CHARACTERS = `aé日🦊\u0000\u001f"\\\u007f\u0085\u2028\u2029\ufeff\ufffd\uffffe\u0301👩‍👩‍👧\u{10ffff}`;

/** What is sent, in order. */
const FRAMED_TEXTS: readonly string[] = [...SIZES_BYTES.map(textOfBytes), CHARACTERS, "", "the last"];

/** What a client that reads {@link FRAMED_TEXTS} has seen. */
export const FRAMED_DIGESTS: readonly MessageDigest[] = FRAMED_TEXTS.map(digestOf);

/** Of the close frame. */
export const FRAMED_END = { code: 4104, reason: "That was all. 🦊" } as const;

/** Starts it. All frames are written at once, pings among them, and the close frame behind them. */
export async function startFrameServer(): Promise<FrameServer> {
  const sockets = new Set<Socket>();
  const http = createServer();
  http.on("upgrade", (request, socket: Socket, head) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write(upgradeAnswer(request.headers["sec-websocket-key"] ?? ""));
    sendAll(socket, head);
  });
  await new Promise<void>((resolve) => {
    http.listen(0, "127.0.0.1", resolve);
  });
  const address = http.address();
  if (address === null || typeof address === "string") throw new Error("No port was given.");
  return {
    url: `ws://127.0.0.1:${address.port}/`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

function sendAll(socket: Socket, head: Buffer): void {
  const nothing = (): void => undefined;
  const peer = new Peer(
    socket,
    head,
    {
      closeTimeoutMs: 120_000,
      maxUnreadAnswerBytes: MEBIBYTE,
      writeTimeoutMs: 120_000,
      maxMessageBytes: MEBIBYTE,
      maxMessageFrames: 1024,
    },
    {
      received: nothing,
      receivedControl: nothing,
      unread: nothing,
      drained: nothing,
      progressed: nothing,
      closing: nothing,
      closed: nothing,
    },
  );
  for (const text of FRAMED_TEXTS) {
    peer.writer.write(textFrame(text));
    peer.ping();
  }
  peer.close("disconnected", FRAMED_END.reason);
}

/** Exactly so long in UTF-8, with characters of every length where there is room. */
function textOfBytes(byteLength: number): string {
  const times = Math.floor(byteLength / Buffer.byteLength(CHARACTERS));
  const text = CHARACTERS.repeat(times);
  return text + "x".repeat(byteLength - Buffer.byteLength(text));
}
