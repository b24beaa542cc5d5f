import { applyEvent } from "./expected-events.ts";
import { divideMerged } from "./merged-stretch.ts";
import type { Stretch } from "./observations.ts";
import type { SequenceScope } from "./sequence-scope.ts";

/** What is wrong with all that a subscriber was told, after everybody has got everything. */
export function checkSequences(stretches: readonly Stretch[], scope: SequenceScope): readonly string[] {
  const places = new Map<string, number>();
  for (const [place, event] of scope.expected.entries())
    if (event.kind === "event") places.set(event.name, place);
  const objections: string[] = [];
  if (stretches.length === 0) objections.push("was never ready");
  let last = -1;
  for (const [index, seen] of stretches.entries()) {
    const isLast = index === stretches.length - 1;
    const stretch = scope.isMerged ? divideMerged(seen, scope, places, isLast) : seen;
    const check = new StretchCheck(stretch, scope, places);
    const objection = check.objection(last, isLast);
    if (objection !== undefined) objections.push(`stretch ${String(index + 1)}: ${objection}`);
    last = Math.max(last, ...check.placesAfterReady);
  }
  return objections;
}

class StretchCheck {
  readonly placesAfterReady: readonly number[];
  readonly #placesBefore: readonly number[];
  readonly #stretch: Stretch;
  readonly #scope: SequenceScope;
  readonly #unexpected: string | undefined;

  constructor(stretch: Stretch, scope: SequenceScope, places: ReadonlyMap<string, number>) {
    this.#stretch = stretch;
    this.#scope = scope;
    const known = (names: readonly string[]): number[] => names.flatMap((name) => places.get(name) ?? []);
    this.placesAfterReady = known(stretch.events);
    this.#placesBefore = known(stretch.before);
    this.#unexpected = [...stretch.before, ...stretch.events].find((name) => !places.has(name));
  }

  /** @param last - the place that an earlier stretch has come to. */
  objection(last: number, isLast: boolean): string | undefined {
    if (this.#unexpected !== undefined) return `an event that it should not have got: ${this.#unexpected}`;
    const [first] = this.placesAfterReady;
    // What a snapshot has already may come behind it, where the database cannot tell.
    const mayRepeat = this.#stretch.snapshot !== undefined && !this.#scope.hasExactSnapshots;
    if (!mayRepeat && first !== undefined && first <= last) return `came again: ${this.#name(first)}`;
    return (
      this.#orderObjection() ??
      this.#beginObjection(isLast) ??
      (this.#stretch.snapshot === undefined || !this.#scope.hasExactSnapshots
        ? undefined
        : this.#snapshotObjection(isLast)) ??
      this.#endObjection(isLast)
    );
  }

  #orderObjection(): string | undefined {
    for (const [index, place] of this.placesAfterReady.entries()) {
      const before = this.placesAfterReady[index - 1];
      if (before === undefined || place === before + 1) continue;
      const what = place > before ? `missed before it: ${this.#name(before + 1)}` : "came again or too late";
      return `${this.#name(place)} after ${this.#name(before)}; ${what}`;
    }
    const all = [...this.#placesBefore, ...this.placesAfterReady];
    const wrong = all.findIndex((place, index) => index > 0 && place <= (all[index - 1] ?? -1));
    return wrong < 0 ? undefined : `out of order before ready: ${this.#name(all[wrong] ?? 0)}`;
  }

  /** Whoever is live is told of all that is asked to be committed from then on. */
  #beginObjection(isLast: boolean): string | undefined {
    const first = this.placesAfterReady[0] ?? (isLast ? this.#scope.expected.length : 0);
    const missed = this.#scope.expected.findIndex(
      (event, place) => place < first && event.kind === "event" && event.askedAtMs > this.#stretch.readyAtMs,
    );
    return missed < 0 ? undefined : `missed after ready: ${this.#name(missed)}`;
  }

  #endObjection(isLast: boolean): string | undefined {
    const last = this.placesAfterReady.at(-1);
    if (!isLast || last === undefined || last === this.#scope.expected.length - 1) return undefined;
    return `missed at the end: ${this.#name(last + 1)}`;
  }

  /** The documents have the effect of exactly those events before the first that was sent after `ready` that were not sent. */
  #snapshotObjection(isLast: boolean): string | undefined {
    const { expected } = this.#scope;
    const sent = new Set(this.#placesBefore);
    const earliest = Math.max(0, ...this.#placesBefore.map((place) => place + 1));
    const first = this.placesAfterReady[0] ?? (isLast ? expected.length : undefined);
    const state = new Map<string, number>();
    let difference: string | undefined;
    for (let place = 0; place <= (first ?? expected.length); place += 1) {
      if (place >= earliest && (first === undefined || place === first)) {
        difference = this.#differenceFrom(state);
        if (difference === undefined) return undefined;
      }
      const event = expected[place];
      if (event !== undefined && !sent.has(place)) applyEvent(state, event);
    }
    return `the snapshot is not what the events make of it: ${difference ?? "nothing fits"}`;
  }

  #differenceFrom(state: ReadonlyMap<string, number>): string | undefined {
    const snapshot = this.#stretch.snapshot ?? new Map<string, number>();
    for (const [documentId, mark] of state) {
      const found = snapshot.get(documentId);
      if (found !== mark) return `${documentId} should be ${String(mark)}, is ${String(found)}`;
    }
    const more = [...snapshot].find(([documentId]) => !state.has(documentId));
    return more === undefined ? undefined : `${more.join(" ")} should not be there`;
  }

  #name(place: number): string {
    const event = this.#scope.expected[place];
    if (event?.kind !== "event") return `truncation (${String(place)})`;
    return `"${event.name}" (${String(place)}, transaction ${String(event.transaction)})`;
  }
}
