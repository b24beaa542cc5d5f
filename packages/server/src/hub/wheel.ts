/** Short enough that those of one step are few; fewer of them where the interval is short. */
const STEP_MS = 250;
const MIN_STEPS = 15;

/**
 * Members that are served once in each interval, a few at a time, by one timer for all: a crowd that came at once is not
 * served at once. Without members there is no timer.
 */
export class Wheel<Member> {
  readonly #slots: readonly Set<Member>[];
  readonly #stepMs: number;
  readonly #serve: (members: Iterable<Member>) => void;
  #timer: NodeJS.Timeout | undefined;
  #current = 0;
  #size = 0;

  /** @param serve - is given those whose turn it is. */
  constructor(intervalMs: number, serve: (members: Iterable<Member>) => void) {
    const steps = Math.max(MIN_STEPS, Math.round(intervalMs / STEP_MS));
    this.#slots = Array.from({ length: steps }, () => new Set());
    this.#stepMs = intervalMs / steps;
    this.#serve = serve;
  }

  /**
   * Serves a member from now on: for the first time within an interval, but not in the first half of it.
   *
   * @returns where it is, for {@link delete}: kept with the member, which so needs no object of its own.
   */
  add(member: Member): Set<Member> {
    const slot = this.#emptiestOfSecondHalf();
    slot.add(member);
    this.#size += 1;
    this.#timer ??= setInterval(() => this.#advance(), this.#stepMs).unref();
    return slot;
  }

  delete(member: Member, slot: Set<Member>): void {
    if (slot.delete(member)) this.#size -= 1;
  }

  *[Symbol.iterator](): IterableIterator<Member> {
    for (const slot of this.#slots) yield* slot;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #advance(): void {
    this.#current = (this.#current + 1) % this.#slots.length;
    const members = this.#slots[this.#current];
    if (this.#size === 0) this.close();
    else if (members !== undefined && members.size > 0) this.#serve(members);
  }

  /** What was served last has longest to wait. */
  #emptiestOfSecondHalf(): Set<Member> {
    const count = this.#slots.length;
    let emptiest: Set<Member> | undefined;
    for (let back = 0; back < count / 2; back += 1) {
      const slot = this.#slots[(this.#current - back + count) % count];
      if (slot !== undefined && slot.size < (emptiest?.size ?? Infinity)) emptiest = slot;
    }
    if (emptiest === undefined) throw new Error("a wheel has slots");
    return emptiest;
  }
}
