/** One thing that a subscriber was told, or that happened to it. */
export type Observation =
  | { readonly kind: "opened"; readonly withCursor: boolean }
  | { readonly kind: "lost" }
  | {
      readonly kind: "snapshot";
      readonly documents: readonly (readonly [documentId: string, mark: number])[];
    }
  | { readonly kind: "event"; readonly name: string; readonly documentId: string; readonly mark: number }
  | { readonly kind: "ready"; readonly resumed: boolean }
  | { readonly kind: "reset"; readonly reason: string }
  /** For the trace only. */
  | { readonly kind: "note"; readonly text: string }
  /** What a list shows from now on: the marks of its documents. */
  | { readonly kind: "list"; readonly marks: readonly number[] };

/** What came without a break: after a `ready` that did not resume, up to the next reset. */
export interface Stretch {
  /** The documents it began with: id → mark. Undefined where none were asked for. */
  readonly snapshot: ReadonlyMap<string, number> | undefined;
  /** Events between the documents and `ready`. */
  readonly before: readonly string[];
  readonly readyAtMs: number;
  readonly events: readonly string[];
}

/** A reset, and when it came. */
export interface SeenReset {
  readonly atMs: number;
  readonly reason: string;
}

interface Draft {
  snapshot: Map<string, number> | undefined;
  readonly before: string[];
  readyAtMs: number;
  readonly events: string[];
}

/** All that a subscriber was told, in order. */
export class Observations {
  readonly stretches: Stretch[] = [];
  readonly resets: SeenReset[] = [];
  /** What the protocol does not allow. */
  readonly violations: string[] = [];
  /** What a list has shown, one after the other. */
  readonly shown: string[] = [];
  /** The last of all, for a trace. */
  readonly log: (readonly [atMs: number, observation: Observation])[] = [];
  eventCount = 0;
  #live: Draft | undefined;
  #coming: Draft = newDraft();
  /** A cursor was sent, and neither taken nor refused yet. */
  #cursorIsPending = false;

  add(observation: Observation): void {
    const atMs = performance.now();
    this.log.push([atMs, observation.kind === "list" ? { kind: "list", marks: [] } : observation]);
    switch (observation.kind) {
      case "opened":
        this.#coming = newDraft();
        if (!observation.withCursor) this.#live = undefined;
        this.#cursorIsPending = observation.withCursor;
        break;
      case "lost":
      case "note":
        break;
      case "snapshot":
        this.#addDocuments(observation.documents);
        break;
      case "event":
        this.eventCount += 1;
        if (this.#live === undefined) this.#coming.before.push(observation.name);
        else this.#live.events.push(observation.name);
        break;
      case "reset":
        // Whoever is cut off before the `ready` that follows is told again.
        if (this.#live !== undefined) this.resets.push({ atMs, reason: observation.reason });
        this.#live = undefined;
        this.#coming = newDraft();
        this.#cursorIsPending = false;
        break;
      case "list":
        this.eventCount += 1;
        this.shown.push(fingerprint(observation.marks));
        break;
      case "ready":
        this.#becomeReady(observation.resumed, atMs);
        break;
    }
  }

  /** The stretch that goes on. */
  get current(): Stretch | undefined {
    return this.#live;
  }

  #addDocuments(documents: readonly (readonly [string, number])[]): void {
    if (this.#live !== undefined) this.violations.push("documents of a snapshot after ready");
    this.#coming.snapshot ??= new Map();
    for (const [documentId, mark] of documents) {
      if (this.#coming.snapshot.has(documentId)) this.violations.push(`${documentId} twice in a snapshot`);
      this.#coming.snapshot.set(documentId, mark);
    }
  }

  #becomeReady(resumed: boolean, atMs: number): void {
    if (resumed !== (this.#live !== undefined)) {
      this.violations.push(resumed ? "resumed what it had not begun" : "not resumed, and no reset");
    }
    if (!resumed && this.#cursorIsPending) this.violations.push("a cursor was refused without a reset");
    this.#cursorIsPending = false;
    if (resumed && this.#live !== undefined) return;
    this.#live = this.#coming;
    this.#live.readyAtMs = atMs;
    this.stretches.push(this.#live);
    this.#coming = newDraft();
  }
}

function newDraft(): Draft {
  return { snapshot: undefined, before: [], readyAtMs: 0, events: [] };
}

/** A text that tells sets of marks apart, whatever their order. */
export function fingerprint(marks: Iterable<number>): string {
  let count = 0;
  let sum = 0;
  let mixed = 0;
  for (const mark of marks) {
    count += 1;
    sum += mark;
    mixed = (mixed + Math.imul(mark ^ (mark >>> 11), 0x9e_37_79_b1)) | 0;
  }
  return `${String(count)} ${String(sum)} ${String(mixed)}`;
}
