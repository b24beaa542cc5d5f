import { WebSocket } from "ws";

/**
 * A WebSocket of `ws` that only reads.
 *
 * `ws` would answer the peer's close frame, and violations of the protocol, by
 * `close()`, which writes to the socket at once: into the middle of a large
 * frame that is being written. So `close()` only tells, and the {@link Peer} writes.
 */
export class UpgradedWebSocket extends WebSocket {
  /** The peer is done: it has said goodbye, or has broken the protocol. The code is the one to answer with. */
  onPeerDone: ((code: number | undefined, reason: string | Buffer | undefined) => void) | undefined;

  override close(code?: number, reason?: string | Buffer): void {
    this.onPeerDone?.(code, reason);
  }
}
