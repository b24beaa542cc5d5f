import { describe } from "vitest";
import { itGrantsNotes } from "../support/granted-notes.ts";
import { itGrantsSnapshots } from "../support/granted-snapshots.ts";
import { notesForEachTest } from "../support/notes-world.ts";

describe("row-level grants, MongoDB", () => {
  const world = notesForEachTest("mongodb");
  itGrantsNotes(world);
  itGrantsSnapshots(world);
});
