/** How many turns there are. */
export interface TurnLimits {
  readonly maxRunning: number;
  /** Of one party. */
  readonly maxRunningOfParty: number;
}

/** A party's place in the rotation. */
interface Party<T> {
  readonly waiting: Set<T>;
  running: number;
}

/**
 * Who may go on, a few at a time: those of one party in the order in which they came, the parties in rotation, so that
 * nobody waits for all of somebody else's. Each step costs the same, however many wait.
 */
export class Turns<T> {
  readonly #limits: TurnLimits;
  readonly #parties = new Map<string, Party<T>>();
  /** Those with somebody who waits, the one whose turn it is first. */
  readonly #rotation = new Set<string>();
  #running = 0;
  #waiting = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** How many have their turn. */
  get running(): number {
    return this.#running;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** How many of a party wait. */
  waitingOf(name: string): number {
    return this.#parties.get(name)?.waiting.size ?? 0;
  }

  wait(name: string, item: T): void {
    const party = this.#parties.get(name) ?? { waiting: new Set(), running: 0 };
    this.#parties.set(name, party);
    party.waiting.add(item);
    this.#rotation.add(name);
    this.#waiting += 1;
  }

  /** @returns who has its turn now, until {@link end}. @param mayGoOn - whether anything else holds up a party. */
  next(mayGoOn: (party: string) => boolean): T | undefined {
    if (this.#running >= this.#limits.maxRunning) return undefined;
    for (const name of this.#rotation) {
      const party = this.#parties.get(name);
      if (party === undefined || !this.#hasTurn(party) || !mayGoOn(name)) continue;
      const [item] = party.waiting;
      if (item === undefined) continue;
      this.#take(name, party, item);
      party.running += 1;
      this.#running += 1;
      this.#rotation.delete(name);
      if (party.waiting.size > 0) this.#rotation.add(name);
      return item;
    }
    return undefined;
  }

  get isOneFree(): boolean {
    return this.#running < this.#limits.maxRunning;
  }

  /** Whether somebody waits whose party could have another turn, but for those that do not count. */
  isHeldUp(doesNotCount: (party: string) => boolean): boolean {
    for (const name of this.#rotation) {
      const party = this.#parties.get(name);
      if (party !== undefined && this.#hasTurn(party) && !doesNotCount(name)) return true;
    }
    return false;
  }

  /** One that waits does not want to any more, or one that had its turn is done. */
  end(name: string, item: T): void {
    const party = this.#parties.get(name);
    if (party === undefined) return;
    if (party.waiting.has(item)) this.#take(name, party, item);
    else {
      party.running -= 1;
      this.#running -= 1;
    }
    if (party.running === 0 && party.waiting.size === 0) this.#parties.delete(name);
  }

  #hasTurn({ running }: Party<T>): boolean {
    return running < this.#limits.maxRunningOfParty;
  }

  #take(name: string, party: Party<T>, item: T): void {
    party.waiting.delete(item);
    this.#waiting -= 1;
    if (party.waiting.size === 0) this.#rotation.delete(name);
  }
}
