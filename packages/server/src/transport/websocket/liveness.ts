import { Wheel } from "../../hub/wheel.ts";

/** A connection whose peer may be gone without a goodbye. */
export interface LivePeer {
  /** What is kept of it here. */
  readonly life: LifeSigns;
  /** Grows whenever the peer has sent or taken something. */
  readonly signsOfLife: number;
  /** Nothing is read from it at the moment: its silence says nothing. */
  readonly isHeldBack: boolean;
  /** It is time to ask for a sign of life. */
  beat(): void;
  /** There was none for too long. */
  cut(): void;
}

/** How often to ask, and how long to wait. */
export interface LivenessSettings {
  readonly heartbeatIntervalMs: number;
  /** Less than two and a half intervals count as so much. */
  readonly peerTimeoutMs: number;
}

/** What {@link Liveness} keeps of one peer, with the peer. */
export class LifeSigns {
  /** Who is asked at the same time; undefined: it is not asked. */
  slot: Set<LivePeer> | undefined;
  last = 0;
  /** The time until it is asked first is shorter, and does not count. */
  silentBeats = -1;
}

const MIN_INTERVALS = 2.5;

/** Asks every peer for a sign of life at each interval, and cuts those that give none. */
export class Liveness {
  readonly #wheel: Wheel<LivePeer>;
  /** Counted in beats: while this process stood still, nobody was asked. */
  readonly #maxSilentBeats: number;

  constructor({ heartbeatIntervalMs, peerTimeoutMs }: LivenessSettings) {
    this.#maxSilentBeats = Math.ceil(Math.max(peerTimeoutMs / heartbeatIntervalMs, MIN_INTERVALS));
    this.#wheel = new Wheel(heartbeatIntervalMs, (peers) => {
      for (const peer of peers) this.#check(peer);
    });
  }

  add(peer: LivePeer): void {
    const { life } = peer;
    life.last = peer.signsOfLife;
    life.slot = this.#wheel.add(peer);
  }

  delete(peer: LivePeer): void {
    if (peer.life.slot !== undefined) this.#wheel.delete(peer, peer.life.slot);
    peer.life.slot = undefined;
  }

  /** Those that are asked. */
  get peers(): Iterable<LivePeer> {
    return this.#wheel;
  }

  close(): void {
    this.#wheel.close();
  }

  #check(peer: LivePeer): void {
    const { life, signsOfLife } = peer;
    if (signsOfLife !== life.last) life.silentBeats = 0;
    else if (!peer.isHeldBack) life.silentBeats += 1;
    life.last = signsOfLife;
    if (life.silentBeats >= this.#maxSilentBeats) peer.cut();
    else peer.beat();
  }
}
