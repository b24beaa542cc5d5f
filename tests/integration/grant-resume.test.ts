import { parseCursor } from "@paperdb/protocol";
import { createClient } from "paperdb";
import { beforeEach, describe, expect, it } from "vitest";
import type { NotesServer } from "../support/notes-server.ts";
import { notesForEachTest } from "../support/notes-world.ts";
import type { TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";

describe.each(["notify", "wal"] as const)("a client that comes back with another grant, mode %s", (mode) => {
  const world = notesForEachTest(mode);
  let notes: NotesServer;
  let tenant: TestTenant;

  beforeEach(() => {
    ({ notes, tenant } = world());
  });

  const add = (id: number, owner: string): Promise<void> =>
    notes.run(`insert into notes values (${id}, '${tenant.id}', '${owner}', 'a title', 0)`);

  /** What a WebSocket with a token is told first that goes on from a cursor. */
  async function resume(token: string, cursor: string | undefined, where?: object) {
    const socket = await notes.socket(token);
    socket.send({ type: "subscribe", id: "1", collection: "notes", cursor, where });
    const ready = await socket.waitFor("ready");
    const resets = socket.ofType("reset").map(({ reason }) => reason);
    return { socket, cursor: ready.cursor, resumed: ready.resumed, resets };
  }

  it("goes on where it sees the same documents, and begins anew where it does not", async () => {
    const ada = await notes.mint(tenant, { owner: "ada" });
    const others = [
      await notes.mint(tenant, { owner: { $in: ["ada", "bob"] } }),
      await notes.mint(tenant, { owner: "ada", title: { $ne: "b" } }),
      await notes.mint(tenant),
    ];
    const first = await resume(ada, undefined);
    const again = await resume(
      await notes.mint(tenant, { $and: [{ owner: { $in: ["ada"] } }] }),
      first.cursor,
    );
    expect(again).toMatchObject({ resumed: true, resets: [], cursor: first.cursor });
    // What it wants is its own affair.
    expect(await resume(ada, first.cursor, { title: "x" })).toMatchObject({ resumed: true, resets: [] });
    await add(1, "ada");
    const event = await first.socket.waitFor("event");
    expect(nameIn(event.cursor ?? "")).toBe(nameIn(first.cursor));
    for (const cursor of [first.cursor, event.cursor]) {
      for (const other of others) {
        expect(await resume(other, cursor)).toMatchObject({ resumed: false, resets: ["grant_changed"] });
      }
    }
    const all = await resume(others[2] ?? "", undefined);
    expect(await resume(ada, all.cursor)).toMatchObject({ resumed: false, resets: ["grant_changed"] });
    expect(await resume(ada, "rubbish")).toMatchObject({ resumed: false, resets: ["cursor_not_usable"] });
    // Another filter, or another collection or tenant, has another name.
    expect(new Set([first.cursor, (await resume(others[0] ?? "", undefined)).cursor].map(nameIn)).size).toBe(
      2,
    );
    expect(nameIn(all.cursor)).toBeUndefined();
  });

  it("has a list of what it may see now", async () => {
    const where = (...owners: string[]): object => ({ notes: { owner: { $in: owners } } });
    const key = await notes.server.createKey(tenant.id, { role: "secret", where: where("ada", "bob") });
    const client = createClient({
      baseUrl: notes.server.url,
      getToken: () => notes.mint({ secretKey: key.key }),
      backoff: { minMs: 20, maxMs: 200 },
    });
    try {
      await add(1, "ada");
      await add(2, "bob");
      await add(3, "eve");
      const list = client.realtime.list("notes");
      const ids = (): string =>
        list.current
          .map((note) => Number((note as { id: unknown }).id))
          .toSorted((one, other) => one - other)
          .join();
      await until(() => ids() === "1,2");
      for (const [owners, shown] of [
        [["bob"], "2"],
        [["bob", "eve"], "2,3"],
      ] as const) {
        await notes.database.query("update paperdb.keys set filters = $1 where id = $2", [
          JSON.stringify(where(...owners)),
          key.id,
        ]);
        await until(() => ids() === shown, { describe: () => `${shown}, got ${ids()}, ${list.status}` });
      }
    } finally {
      client.close();
    }
  });
});

/** What a cursor's grant is known by. */
function nameIn(cursor: string): string | undefined {
  return parseCursor(cursor)?.grant;
}
