/** One timer for all: every tick serves the connections that joined at that phase. */
const SLOTS = 15;

/** A connection whose peer may be gone without a goodbye. */
export interface LivePeer {
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

interface Watched {
  readonly slot: Set<LivePeer>;
  lastSigns: number;
  silentBeats: number;
}

const MIN_INTERVALS = 2.5;

/** Asks every peer for a sign of life at each interval, and cuts those that give none. */
export class Liveness {
  readonly #slots: Set<LivePeer>[] = Array.from({ length: SLOTS }, () => new Set());
  readonly #watched = new Map<LivePeer, Watched>();
  readonly #timer: NodeJS.Timeout;
  /** Counted in beats: while this process stood still, nobody was asked. */
  readonly #maxSilentBeats: number;
  #current = 0;

  constructor({ heartbeatIntervalMs, peerTimeoutMs }: LivenessSettings) {
    this.#maxSilentBeats = Math.ceil(Math.max(peerTimeoutMs / heartbeatIntervalMs, MIN_INTERVALS));
    this.#timer = setInterval(() => this.#tick(), heartbeatIntervalMs / SLOTS).unref();
  }

  add(peer: LivePeer): void {
    const slot = this.#slots[this.#current];
    if (slot === undefined) return;
    slot.add(peer);
    this.#watched.set(peer, { slot, lastSigns: peer.signsOfLife, silentBeats: 0 });
  }

  delete(peer: LivePeer): void {
    this.#watched.get(peer)?.slot.delete(peer);
    this.#watched.delete(peer);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#current = (this.#current + 1) % SLOTS;
    for (const peer of this.#slots[this.#current] ?? []) this.#check(peer);
  }

  #check(peer: LivePeer): void {
    const watched = this.#watched.get(peer);
    if (watched === undefined) return;
    const { signsOfLife } = peer;
    if (signsOfLife !== watched.lastSigns) watched.silentBeats = 0;
    else if (!peer.isHeldBack) watched.silentBeats += 1;
    watched.lastSigns = signsOfLife;
    if (watched.silentBeats >= this.#maxSilentBeats) peer.cut();
    else peer.beat();
  }
}
