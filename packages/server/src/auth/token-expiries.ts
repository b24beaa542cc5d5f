/** Something that ends with its token. */
export interface ExpiringGrant {
  /** In ms since 1970; undefined: never. It changes only while this is not in {@link TokenExpiries}. */
  readonly expiresAtMs: number | undefined;
  /** Its place in {@link TokenExpiries}, which keeps it up to date: begins as -1. */
  expiryIndex: number;
  /** Called once, when the time has come; it is not in {@link TokenExpiries} any more. */
  expired(): void;
}

/** The longest wait that a timer of Node takes. */
const MAX_TIMER_MS = 2_147_483_647;
/** Ended between two looks at the event loop, where very many end at one moment. */
const MAX_PER_TURN = 256;

/** Tells of each token's end in time, with one timer for all: a heap, the earliest first. */
export class TokenExpiries {
  readonly #onError: (error: unknown) => void;
  readonly #heap: ExpiringGrant[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the timer runs out. Later than the earliest end never, earlier after a {@link delete}. */
  #wakesAtMs = Infinity;

  /** @param onError - an `expired` has failed, which is nothing to the others. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(grant: ExpiringGrant): void {
    if (grant.expiresAtMs === undefined) return;
    this.#rise(grant, this.#heap.length);
    if (endOf(grant) < this.#wakesAtMs) this.#wakeAt(endOf(grant));
  }

  delete(grant: ExpiringGrant): void {
    const index = grant.expiryIndex;
    if (index === -1) return;
    grant.expiryIndex = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === grant) return;
    this.#rise(last, index);
    this.#sink(last);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = -Infinity;
  }

  #wakeAt(atMs: number): void {
    clearTimeout(this.#timer);
    const leftMs = Math.min(Math.max(0, atMs - Date.now()), MAX_TIMER_MS);
    this.#wakesAtMs = atMs;
    this.#timer = setTimeout(() => this.#wake(), leftMs).unref();
  }

  #wake(): void {
    this.#wakesAtMs = Infinity;
    const nowMs = Date.now();
    let [first] = this.#heap;
    for (let left = MAX_PER_TURN; left > 0 && first !== undefined && endOf(first) <= nowMs; left -= 1) {
      this.delete(first);
      this.#end(first);
      [first] = this.#heap;
    }
    if (first !== undefined) this.#wakeAt(endOf(first));
  }

  #end(grant: ExpiringGrant): void {
    try {
      grant.expired();
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Moves it up from this place as far as it is earlier than what is there. */
  #rise(grant: ExpiringGrant, from: number): void {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || endOf(parent) <= endOf(grant)) break;
      this.#put(parent, index);
      index = parentIndex;
    }
    this.#put(grant, index);
  }

  /** Moves it down as far as something there is earlier. */
  #sink(grant: ExpiringGrant): void {
    let index = grant.expiryIndex;
    for (;;) {
      const child = this.#earlier(2 * index + 1, 2 * index + 2);
      if (child === undefined || endOf(child) >= endOf(grant)) break;
      const childIndex = child.expiryIndex;
      this.#put(child, index);
      index = childIndex;
    }
    this.#put(grant, index);
  }

  #earlier(oneIndex: number, otherIndex: number): ExpiringGrant | undefined {
    const one = this.#heap[oneIndex];
    const other = this.#heap[otherIndex];
    return one === undefined || other === undefined || endOf(one) <= endOf(other) ? one : other;
  }

  #put(grant: ExpiringGrant, index: number): void {
    this.#heap[index] = grant;
    grant.expiryIndex = index;
  }
}

function endOf({ expiresAtMs = Infinity }: ExpiringGrant): number {
  return expiresAtMs;
}
