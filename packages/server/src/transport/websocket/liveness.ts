/** One timer for all: every tick serves the connections that joined at that phase. */
const SLOTS = 15;

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
  /** The phase at which it is asked; undefined: it is not. */
  slot: number | undefined;
  last = 0;
  silentBeats = 0;
}

const MIN_INTERVALS = 2.5;

/** Asks every peer for a sign of life at each interval, and cuts those that give none. */
export class Liveness {
  readonly #slots: Set<LivePeer>[] = Array.from({ length: SLOTS }, () => new Set());
  readonly #timer: NodeJS.Timeout;
  /** Counted in beats: while this process stood still, nobody was asked. */
  readonly #maxSilentBeats: number;
  #current = 0;

  constructor({ heartbeatIntervalMs, peerTimeoutMs }: LivenessSettings) {
    this.#maxSilentBeats = Math.ceil(Math.max(peerTimeoutMs / heartbeatIntervalMs, MIN_INTERVALS));
    this.#timer = setInterval(() => this.#tick(), heartbeatIntervalMs / SLOTS).unref();
  }

  add(peer: LivePeer): void {
    const { life } = peer;
    life.slot = this.#current;
    life.last = peer.signsOfLife;
    this.#slots[this.#current]?.add(peer);
  }

  delete(peer: LivePeer): void {
    const { slot } = peer.life;
    if (slot !== undefined) this.#slots[slot]?.delete(peer);
    peer.life.slot = undefined;
  }

  /** Those that are asked. */
  *peers(): IterableIterator<LivePeer> {
    for (const slot of this.#slots) yield* slot;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#current = (this.#current + 1) % SLOTS;
    for (const peer of this.#slots[this.#current] ?? []) this.#check(peer);
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
