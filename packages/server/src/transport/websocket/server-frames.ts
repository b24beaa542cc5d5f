import type { RealtimeError, ServerMessage } from "@paperdb/protocol";
import type { Greeting } from "../../hub/delivery.ts";
import { textFrame } from "./websocket-frame.ts";

/** A message of `paperdb.v1` that is not an event. */
export function serverFrame(message: Exclude<ServerMessage, { type: "event" }>): Buffer {
  return textFrame(JSON.stringify(message));
}

/** `ready`, after `reset` where what the client holds is void: in one write. */
export function greetingFrames(id: string, { channel, cursor, resumed, resetReason }: Greeting): Buffer {
  const ready = serverFrame({ type: "ready", id, channel, cursor, resumed });
  if (resetReason === undefined) return ready;
  return Buffer.concat([serverFrame({ type: "reset", id, reason: resetReason }), ready]);
}

/** @param id - the subscription's, where the client has named one. */
export function errorFrame({ code, message, retryable }: RealtimeError, id?: string): Buffer {
  return serverFrame({ type: "error", ...(id === undefined ? {} : { id }), code, message, retryable });
}

/** For a connection without subscriptions. */
export const EMPTY_HEARTBEAT: Buffer = serverFrame({ type: "heartbeat", cursors: {} });
