import { z } from "zod";
import { bytes, count, MEBIBYTE, milliseconds } from "./ranges.ts";

/** Bounds of each connection, on either transport. */
export const connectionsSchema = z
  .strictObject({
    maxTotal: count(200_000).describe("Connections of all tenants at a time."),
    heartbeatIntervalMs: milliseconds(15_000, 100).describe(
      "Between two heartbeats on a quiet connection, in ms.",
    ),
    maxBufferedBytes: bytes(8 * MEBIBYTE).describe("Unsent bytes at which a slow connection is closed."),
    maxSliceBytes: bytes(65_536).describe(
      "Bytes written to one connection at a time, unless one event is larger.",
    ),
    writeTimeoutMs: milliseconds(30_000, 100).describe(
      "A connection that takes nothing for so long is closed, in ms.",
    ),
    drainTimeoutMs: milliseconds(5_000, 0).describe(
      "How long a stopping server waits for connections, in ms.",
    ),
  })
  .prefault({})
  .describe("Connections of clients.");

/** What concerns WebSockets alone. */
export const websocketSchema = z
  .strictObject({
    handshakeTimeoutMs: milliseconds(20_000, 100).describe(
      "How long a client waits at most until its WebSocket is open, in ms.",
    ),
    maxMessageBytes: z
      .int()
      .min(1024)
      .max(16 * MEBIBYTE)
      .default(65_536)
      .describe("The largest message of a client, in bytes."),
    maxMessagesPerSecond: count(100).describe(
      "Messages of one client that are handled each second; the next ones wait, unread.",
    ),
    maxSubscriptions: count(100).describe("Subscriptions of one connection at a time."),
    maxUnreadAnswerBytes: bytes(262_144).describe(
      "Bytes of answers that a client has not read at which its connection is closed; at least 2 KiB for each of `websocket.maxSubscriptions`.",
    ),
    closeTimeoutMs: milliseconds(5_000, 100).describe(
      "How long a client may take to answer a close frame before its connection is cut, in ms.",
    ),
    peerTimeoutMs: milliseconds(45_000, 100).describe(
      "A client of which nothing is heard for so long is cut, in ms; at least two and a half `connections.heartbeatIntervalMs`.",
    ),
  })
  .prefault({})
  .describe("WebSockets, besides what `connections` says.");
