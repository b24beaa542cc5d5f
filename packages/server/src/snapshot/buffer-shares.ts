/** How much is held for clients that have not taken it yet, all in all and by party. */
export class BufferShares {
  readonly #maxBytes: number;
  readonly #byParty = new Map<string, number>();
  #bytes = 0;

  /** @param maxBytes - of all together; of one party half of it. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How much one party holds. */
  of(party: string): number {
    return this.#byParty.get(party) ?? 0;
  }

  /** Whether so much more may be held for a party. */
  hasRoom(party: string, bytes: number): boolean {
    return this.#bytes + bytes <= this.#maxBytes && !this.isOverShare(party, bytes);
  }

  /** Whether so much more would be too much for this party, whatever the others hold. */
  isOverShare(party: string, bytes: number): boolean {
    return this.of(party) + bytes > this.#maxBytes / 2;
  }

  /** A party holds more, or less. */
  add(party: string, bytes: number): void {
    const sum = this.of(party) + bytes;
    if (sum === 0) this.#byParty.delete(party);
    else this.#byParty.set(party, sum);
    this.#bytes += bytes;
  }
}
