import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { SnapshotServer } from "../support/snapshot-server.ts";
import { pauseInSnapshot, SnapshotSubscription } from "../support/snapshot-subscription.ts";
import { PatientState } from "../support/snapshots.ts";
import { sseState } from "../support/sse-state.ts";
import { until } from "../support/until.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";

const ADA = { owner: "ada" };
const EVE = { owner: "eve" };

describe.each(["notify", "wal"] as const)("a grant while a snapshot is being sent, mode %s", (mode) => {
  let world: SnapshotServer;

  beforeAll(async () => {
    world = await SnapshotServer.start(mode, {
      snapshots: { batchRows: 10, maxBufferedBytes: 16 * 1024 * 1024 },
    });
  });

  afterEach(() => world?.closeClients());
  afterAll(() => world?.close());

  const all = (client: WebSocketClient, table: string): SnapshotSubscription =>
    new SnapshotSubscription(client, "1", table);

  /** Owners in the order of what came: of documents, and of the documents in events. */
  function ownersOf(client: WebSocketClient): string[] {
    const owners = client.messages.flatMap((message): unknown[] => {
      if (message.type === "snapshot") return message.documents.map(ownerOf);
      if (message.type === "event" && "data" in message.event) return [ownerOf(message.event.data)];
      return message.type === "reset" ? ["reset"] : [];
    });
    return owners.map(String).filter((owner, index) => owner !== owners[index - 1]);
  }

  const ownerOf = (document: unknown): unknown => (document as { owner: unknown }).owner;

  it("holds for the changes that the documents do not have", async () => {
    const table = await world.createTable(["ada", "eve", "ada", "eve"], ["ada"]);
    // It sees all changes.
    const witness = await world.sse({ collection: table });
    await witness.waitForEvent("ready");
    const client = await world.open([table], ADA);
    const readOn = pauseInSnapshot(client);
    const mine = all(client, table);
    const token = await world.mint([table], ADA);
    const sse = await world.sse({ collection: table, snapshot: "true", token });
    sse.pause();
    await mine.waitFor(() => mine.steps.length > 0, "a snapshot");
    await world.run(`update ${table} set owner = 'eve', n = 2, body = 'private' where id = 1`);
    await world.run(`update ${table} set owner = 'ada', n = 2 where id = 2`);
    await world.run(`delete from ${table} where id = 3`);
    await world.run(`update ${table} set n = 2, body = 'private' where id = 4`);
    await world.add(table, 5, "ada");
    await world.add(table, 6, "eve");
    await witness.waitForMessages(6);
    readOn();
    sse.resume();
    await mine.ready();
    await sse.waitForEvent("ready");
    expect(mine.phases).toEqual(["snapshot", "early event", "ready new"]);
    for (const documents of [mine.documents, sseState(sse, () => new PatientState()).documents]) {
      expect([...documents.keys()].filter((id) => Number(id) < 10).toSorted()).toEqual(["2", "5"]);
      expect(documents.size).toBe(await world.count(table, "ada"));
    }
    expect(ownersOf(client)).toEqual(["ada"]);
    expect(sse.changes.map(({ type, documentId }) => [type, documentId])).toEqual([
      ["delete", "1"],
      ["insert", "2"],
      ["delete", "3"],
      ["insert", "5"],
    ]);
    expect(new Set(sse.changes.map(({ document }) => ownerOf(document)))).toEqual(new Set(["ada"]));
  });

  it("of a fresh token begins it anew: nothing of the old grant follows", async () => {
    const table = await world.createTable(["ada", "eve"], ["ada", "eve"]);
    const client = await world.open([table], ADA);
    const readOn = pauseInSnapshot(client);
    const mine = all(client, table);
    await mine.waitFor(() => mine.steps.length > 0, "a snapshot");
    const [first = ""] = await world.untilHeld(1);
    client.send({ type: "auth", token: await world.mint([table], EVE) });
    // The first snapshot is given up, and the second one waits for the client behind it.
    await until(async () => (await world.fetchHeld()).some((begun) => begun !== first), {
      describe: "another snapshot",
    });
    await world.add(table, 3, "ada");
    await world.add(table, 4, "eve");
    readOn();
    await mine.ready();
    await mine.waitFor(() => mine.documents.has("4"), "the last document");
    expect(mine.phases.filter((step) => !step.endsWith("event"))).toEqual([
      "snapshot",
      "reset grant_changed",
      "snapshot",
      "ready new",
    ]);
    expect(mine.documents.size).toBe(await world.count(table, "eve"));
    expect(ownersOf(client)).toEqual(["ada", "reset", "eve"]);
  });
});
