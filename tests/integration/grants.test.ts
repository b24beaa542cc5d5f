import { describe, expect, it } from "vitest";
import { FENCE, itGrantsNotes } from "../support/granted-notes.ts";
import { itGrantsSnapshots } from "../support/granted-snapshots.ts";
import { seenUntil } from "../support/note-watcher.ts";
import { NotesServer } from "../support/notes-server.ts";
import { notesForEachTest } from "../support/notes-world.ts";
import { signLike } from "../support/realtime-token.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

describe.each(["notify", "wal"] as const)("row-level grants, mode %s", (mode) => {
  const world = notesForEachTest(mode);
  itGrantsNotes(world);
  itGrantsSnapshots(world);

  it("cannot be forged", async () => {
    const { notes, tenant } = world();
    const token = await notes.mint(tenant, { owner: "ada" });
    const forged = await signLike(token, "another secret of thirty-two characters", { without: ["filters"] });
    const refusal = await WebSocketClient.refused(notes.server.url, { token: forged });
    expect(refusal).toMatchObject({ status: 401, code: "token_invalid" });
  });
});

it.each(["notify", "wal"] as const)(
  "what was written before somebody needed hidden columns is never taken for a match, mode %s",
  async (mode) => {
    const notes = await NotesServer.start(mode);
    try {
      const tenant = await notes.server.createTenant("first");
      const add = (id: number, title: string, secret: number): Promise<void> =>
        notes.run(`insert into notes values (${id}, 'first', 'ada', '${title}', ${secret})`);
      const all = await notes.sse(tenant.anonKey);
      const cursor = all.client.lastEventId;
      await add(1, "private 1", 7);
      await add(2, "private 2", 8);
      await notes.run("update notes set secret = 7 where id = 2", "delete from notes where id = 1");
      await until(() => all.seen().length === 4);
      // A missing field is not 7.
      const token = await notes.mint(tenant, { secret: { $nin: [7, 8] } });
      const granted = await notes.sse(token, { cursor });
      const raw = await notes.raw(token);
      await add(3, "private 3", 7);
      await notes.run("update notes set secret = 9, title = 'seen' where id = 3");
      await add(FENCE, "fence", 0);
      for (const watcher of [granted, raw]) {
        expect(await seenUntil(watcher, FENCE)).toEqual([
          ["insert", 3, "seen"],
          ["insert", FENCE, "fence"],
        ]);
        expect(watcher.wire()).not.toContain("private");
      }
    } finally {
      await notes.close();
    }
  },
);
