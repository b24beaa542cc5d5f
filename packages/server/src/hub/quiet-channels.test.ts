import { formatCursor, sequencePosition } from "@paperdb/protocol";
import { describe, expect, it } from "vitest";
import { setUpHub, settle } from "../../../../tests/support/hub.ts";

describe("clients of a quiet channel", () => {
  it("stand where their source stands, and go on from there, in this server", async () => {
    const { connect, append, source } = setUpHub({}, { heartbeatIntervalMs: 30 });
    const { name, epoch } = source;
    const cursorAt = (sequence: number): string =>
      formatCursor({ source: name, epoch, position: sequencePosition(sequence) });
    const knowing = Object.assign(source, { position: () => sequencePosition(source.sequence) });
    const peer = await connect();
    append("1");
    // Of other channels.
    knowing.sequence = 70;
    await expect.poll(() => peer.lines.at(-1)).toBe(`heartbeat ${cursorAt(70)}`);
    knowing.sequence = 80;
    const back = await connect(cursorAt(75));
    expect(back.lines).toEqual([`ready ${cursorAt(75)} resumed`]);
    append("81");
    const late = await connect(cursorAt(70));
    const future = await connect(cursorAt(90));
    await settle();
    expect(back.documents).toEqual(["81"]);
    expect(late.documents).toEqual(["81"]);
    expect(future.lines.slice(0, 2)).toEqual(["reset cursor_not_usable", `ready ${cursorAt(81)} new`]);
    expect((await connect(cursorAt(0))).lines[0]).toBe(`ready ${cursorAt(0)} resumed`);
  });

  it("share the Buffer of a heartbeat", async () => {
    const { connect } = setUpHub({}, { heartbeatIntervalMs: 30 });
    // More than there are moments at which somebody is told.
    const peers = await Promise.all(Array.from({ length: 60 }, () => connect()));
    const beats = (): (Uint8Array | undefined)[] =>
      peers.map(({ writes }) => writes.find((frame) => frame.toString().startsWith("heartbeat ")));
    await expect.poll(beats).not.toContain(undefined);
    expect(new Set(beats()).size).toBeLessThan(peers.length / 2);
  });

  it("are not told of a place that they have not come to, when the source hands over events only as it is asked", async () => {
    const { connect, append, source } = setUpHub({}, { heartbeatIntervalMs: 30 });
    let asked = 0;
    const position = (): string => {
      asked += 1;
      if (asked === 2 || asked === 5) append(String(asked));
      return sequencePosition(source.sequence);
    };
    Object.assign(source, { position });
    const peer = await connect();
    await expect.poll(() => asked).toBeGreaterThan(8);
    expect(peer.documents).toEqual(["2", "5"]);
    const cursors = peer.lines.filter((line) => !line.startsWith("ready ")).map((line) => line.split(" "));
    const told = cursors.map(([kind, first = "", second]) => [kind, second ?? first]);
    for (const [index, [kind, cursor]] of told.entries()) {
      if (kind !== "heartbeat" || index === 0) continue;
      expect(cursor).toBe(told[index - 1]?.[1]);
    }
  });
});
