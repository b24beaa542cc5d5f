import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setUpHub, settle } from "../../../../tests/support/hub.ts";
import type { LinePeer } from "../../../../tests/support/line-peer.ts";

describe("Hub", () => {
  it("delivers every sequence in order, once, or resets (property)", async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 6 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("block" as const), peer: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("drain" as const), peer: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("reconnect" as const), peer: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { append, connect, hub, sink, source } = setUpHub({ maxEventsPerChannel: 12 });
        const peers = [await connect(), await connect(), await connect(), await connect()];
        let appended = 0;
        const seen: number[][] = peers.map(() => []);
        const follows: (number | undefined)[] = peers.map(() => undefined);
        const collect = (index: number, peer: LinePeer): void => {
          for (const line of peer.lines.splice(0)) {
            const [kind = "", value = "", how] = line.split(" ");
            if (kind === "reset" || (kind === "ready" && how === "new")) follows[index] = undefined;
            if (kind !== "event") continue;
            const number = Number(value);
            const previous = follows[index];
            if (previous !== undefined) expect(number).toBe(previous + 1);
            follows[index] = number;
            seen[index]?.push(number);
          }
        };
        for (const current of steps) {
          if (current.kind === "append") {
            for (let n = 0; n < current.count; n += 1) append(String((appended += 1)));
          } else if (current.kind === "lost") {
            sink.lost("all", source.next(), "lost");
          } else if (current.kind === "settle") {
            await settle();
          } else {
            const peer = peers[current.peer];
            if (peer?.subscription === undefined) continue;
            if (current.kind === "block") peer.reads = false;
            if (current.kind === "drain") {
              peer.reads = true;
              hub.resume(peer.subscription);
            }
            if (current.kind === "reconnect") {
              const cursor = peer.lastCursor === "" ? undefined : peer.lastCursor;
              hub.unsubscribe(peer.subscription);
              collect(current.peer, peer);
              peers[current.peer] = await connect(cursor);
            }
          }
        }
        for (const [index, peer] of peers.entries()) {
          peer.reads = true;
          if (peer.subscription !== undefined) hub.resume(peer.subscription);
          await settle();
          collect(index, peer);
          append(String((appended += 1)));
          await settle();
          collect(index, peer);
          if (peer.ended === undefined) expect(seen[index]?.at(-1)).toBe(appended);
        }
        hub.close();
      }),
      { numRuns: 60 },
    );
  });
});
