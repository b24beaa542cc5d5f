import type { PeerLimits } from "./peer.ts";

/** Bounds and intervals of WebSockets. */
export interface WebSocketSettings {
  readonly handshakeTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxMessagesPerSecond: number;
  readonly maxSubscriptions: number;
  readonly closeTimeoutMs: number;
  readonly peerTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly maxUnreadAnswerBytes: number;
  readonly writeTimeoutMs: number;
}

/** Of an answer, `ready` with its cursor: after a reset all subscriptions get one at once. */
const MAX_READY_BYTES = 2048;

/** A message may always come in so many frames, and in more where they have this size. */
const MIN_FRAMES = 1024;
const MIN_FRAME_BYTES = 64;

/** The bounds on each peer. */
export function peerLimits(settings: WebSocketSettings): PeerLimits {
  const { maxMessageBytes, maxSubscriptions } = settings;
  return {
    ...settings,
    maxMessageFrames: Math.max(MIN_FRAMES, Math.ceil(maxMessageBytes / MIN_FRAME_BYTES)),
    maxUnreadAnswerBytes: Math.max(settings.maxUnreadAnswerBytes, maxSubscriptions * MAX_READY_BYTES),
  };
}
