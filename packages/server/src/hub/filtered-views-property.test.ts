import { formatCursor, type Position } from "@paperdb/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setUpHub, settle } from "../../../../tests/support/hub.ts";
import { CHANGES, roomOf, inRooms, inserted, moved } from "../../../../tests/support/rooms.ts";
import type { SourceEvent } from "../source/change-source.ts";

describe("filtered subscriptions", () => {
  it("see exactly their part of the changes, in order, once, from wherever they begin (property)", async () => {
    const ROOMS = ["a", "b", "c", "d"];
    const FILTER_ROOMS = [undefined, "a", "a", "bc", "cd", "x", "abcd"];
    /** One is tried on every event, the others are found. */
    const FILTERS = FILTER_ROOMS.map((rooms) =>
      rooms === undefined ? undefined : inRooms(rooms, rooms !== "cd"),
    );
    const peerIndex = fc.nat(FILTERS.length - 1);
    const change = fc.record({
      document: fc.nat(5),
      room: fc.constantFrom(undefined, ...ROOMS),
    });
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant("change" as const),
          changes: fc.array(change, { minLength: 1, maxLength: 5 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("block" as const), peer: peerIndex }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("fill" as const), peer: peerIndex }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("drain" as const), peer: peerIndex }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("reconnect" as const),
          peer: peerIndex,
          /** How many events before its own place; 0: exactly there. */
          back: fc.nat(6),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost" as const) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
    );
    let resumed = 0;
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { push, connectTo, hub, log, sink, source } = setUpHub({ maxEventsPerChannel: 12 });
        /** All events ever, and of each peer what its client has: a place in them. */
        const events: SourceEvent[] = [];
        const rooms = new Map<number, string>();
        const cursorAt = (position: Position): string =>
          formatCursor({ source: source.name, epoch: source.epoch, position });
        const peers = await Promise.all(FILTERS.map((filter) => connectTo(filter, undefined, CHANGES)));
        const at: Position[] = FILTERS.map(() => "");
        /** Those that have not gone through what they resumed from yet. */
        const catchingUp = new Set<number>();
        const history = peers[0]?.subscription?.channel.history;
        if (history === undefined) throw new Error("not subscribed");

        const seenBy = (index: number, { body, position }: SourceEvent): string | undefined => {
          if ("topic" in body) return undefined;
          const filter = FILTERS[index];
          const { type, documentId, document, prior } = body;
          const line = (as: string, shown: string): string =>
            `${as}:${documentId}:${shown} ${cursorAt(position)}`;
          if (filter === undefined) return line(type, document);
          const allows = (text: string): boolean =>
            FILTER_ROOMS[index]?.includes(roomOf(JSON.parse(text))) ?? true;
          const before = type === "delete" ? allows(document) : prior !== undefined && allows(prior);
          const after = type !== "delete" && allows(document);
          if (before && after) return line("update", document);
          if (after) return line("insert", document);
          return before ? line("delete", prior ?? document) : undefined;
        };
        const nextFor = (index: number): { line: string; position: Position } | undefined => {
          for (const event of events) {
            if (event.position <= (at[index] ?? "")) continue;
            const line = seenBy(index, event);
            if (line !== undefined) return { line, position: event.position };
          }
          return undefined;
        };
        const collect = (index: number): void => {
          for (const line of peers[index]?.lines.splice(0) ?? []) {
            const [kind, ...rest] = line.split(" ");
            if (kind === "ready") at[index] = rest[0]?.split(".")[2] ?? "";
            if (kind !== "event") continue;
            const next = nextFor(index);
            expect(rest.join(" ")).toBe(next?.line);
            at[index] = next?.position ?? "";
          }
          const peer = peers[index];
          if (peer?.ended === undefined) return;
          // Only who has missed something is ended, or who had not come to know what there was.
          ended += 1;
          const next = catchingUp.has(index) ? at[index] : nextFor(index)?.position;
          expect(next !== undefined && next <= (history.completeSince ?? "")).toBe(true);
        };
        const reconnect = async (index: number, back: number): Promise<void> => {
          const { subscription } = peers[index] ?? {};
          if (subscription !== undefined) hub.unsubscribe(subscription);
          collect(index);
          const own = at[index] ?? "";
          const position =
            back === 0 ? own : (events.filter((event) => event.position <= own).at(-back)?.position ?? own);
          const isKept = history.indexAfter(position) !== undefined;
          const peer = await connectTo(FILTERS[index], cursorAt(position), CHANGES);
          peers[index] = peer;
          expect(peer.greetings[0]?.resumed).toBe(isKept);
          catchingUp.delete(index);
          if (isKept) {
            resumed += 1;
            catchingUp.add(index);
          }
        };

        for (const current of steps) {
          if (current.kind === "change") {
            for (const { document, room } of current.changes) {
              const from = rooms.get(document);
              const id = String(document);
              if (room === undefined && from === undefined) continue;
              if (room === undefined) {
                events.push(push({ type: "delete", documentId: id, document: `{"room":"${from}"}` }));
                rooms.delete(document);
              } else {
                events.push(push(from === undefined ? inserted(id, room) : moved(id, from, room)));
                rooms.set(document, room);
              }
            }
          } else if (current.kind === "lost") {
            sink.lost("all", source.next(), "lost");
          } else if (current.kind === "settle") {
            await settle();
            for (const index of catchingUp) {
              const peer = peers[index];
              if (peer !== undefined && peer.keepsUp && peer.ended === undefined) catchingUp.delete(index);
            }
          } else if (current.kind === "reconnect") {
            await reconnect(current.peer, current.back);
          } else {
            const peer = peers[current.peer];
            if (current.kind === "block" && peer !== undefined) peer.reads = false;
            if (current.kind === "fill") peer?.fill();
            if (current.kind === "drain" && peer?.subscription !== undefined) {
              peer.reads = true;
              hub.resume(peer.subscription);
            }
          }
        }
        for (const [index, peer] of peers.entries()) {
          peer.reads = true;
          if (peer.subscription !== undefined) hub.resume(peer.subscription);
          await settle();
          collect(index);
          if (peer.ended !== undefined) {
            await reconnect(index, 0);
            await settle();
            collect(index);
          }
          expect(nextFor(index)).toBeUndefined();
        }
        for (const { subscription } of peers) if (subscription !== undefined) hub.unsubscribe(subscription);
        expect(hub.subscriptionCount).toBe(0);
        hub.close();
        log.stop();
      }),
      { numRuns: 150 },
    );
    // The steps reach what they are there for.
    expect(resumed).toBeGreaterThan(0);
    expect(ended).toBeGreaterThan(0);
  });
});
