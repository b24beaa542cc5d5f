import type { PatientState } from "./snapshots.ts";
import { until } from "./until.ts";

/** What a client was told of one note, whichever way. */
export type SeenNote = readonly [type: string, id: number, title: string];

/** A note as a client holds it. */
export type HeldNote = readonly [id: number, title: string];

/** A subscriber to notes, and what it was told. */
export interface NoteWatcher {
  readonly name: string;
  seen(): readonly SeenNote[];
  /** What it holds, in the order of ids, where it has asked for a snapshot. */
  held?(): readonly HeldNote[];
  /** All that came, as text. */
  wire(): string;
}

interface Note {
  /** `_id` in MongoDB. */
  readonly id?: number;
  readonly _id?: number;
  readonly title: string;
}

/** Waits until a watcher was told of a note, and returns all that it was told. */
export async function seenUntil(watcher: NoteWatcher, id: number): Promise<readonly SeenNote[]> {
  await until(() => watcher.seen().some(([, seen]) => seen === id), {
    describe: () => `note ${id} by ${watcher.name}, got ${watcher.wire().slice(-2000)}`,
  });
  return watcher.seen();
}

/** Waits until a watcher that asked for a snapshot holds a note, and returns all that it holds. */
export async function heldUntil(watcher: NoteWatcher, id: number): Promise<readonly HeldNote[]> {
  await until(() => watcher.held?.().some(([held]) => held === id), {
    describe: () => `note ${id} held by ${watcher.name}, got ${watcher.wire().slice(-2000)}`,
  });
  return watcher.held?.() ?? [];
}

/** What a change of a note says. */
export function noteOf(type: string, document: unknown): SeenNote {
  const { id, _id, title } = document as Note;
  return [type, id ?? _id ?? 0, title];
}

/** The notes of a client, in order. */
export function heldOf({ documents }: Pick<PatientState, "documents">): readonly HeldNote[] {
  return [...documents.values()]
    .map((document): HeldNote => {
      const [, id, title] = noteOf("", document);
      return [id, title];
    })
    .toSorted(([one], [other]) => one - other);
}
