import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KEY, CountingSource, openHub, settle } from "../../../../tests/support/hub.ts";
import { LinePeer, LINES } from "../../../../tests/support/line-peer.ts";
import type { HistoryLimits } from "../log/memory/memory-log.ts";
import type { ChannelKey, SourceEvent } from "../source/change-source.ts";

/** A database with a log of its own, which outlives the server. Digests are the last letter of a position. */
class RereadingSource extends CountingSource {
  readonly events: SourceEvent[];
  replays = 0;
  /** Before a replay ends. */
  meanwhile: (() => void) | undefined;

  constructor(events: SourceEvent[]) {
    super();
    this.events = events;
    this.sequence = events.length;
  }

  override next(): string {
    return `${super.next()}d`;
  }
  override watch(): Promise<string> {
    return Promise.resolve(this.events.at(-1)?.position ?? "0");
  }
  async replay(_key: ChannelKey, since: string, until: string): Promise<readonly SourceEvent[] | undefined> {
    this.replays += 1;
    await settle();
    this.meanwhile?.();
    if (this.events.some(({ position }) => this.contradicts(position, since))) return undefined;
    return this.events.filter(({ position }) => position > since && position <= until);
  }
  contradicts(one: string, other: string): boolean {
    return one !== other && one.slice(0, -1) === other.slice(0, -1);
  }
}

/** A server that starts on a database with a history. */
function restart(events: SourceEvent[], limits: Partial<HistoryLimits> = {}) {
  const { log, hub } = openHub({ limits });
  const source = new RereadingSource(events);
  const sink = log.sinkFor(source.name);
  const append = (): void => {
    const position = source.next();
    const documentId = String(source.sequence);
    const body = { type: "insert" as const, documentId, document: "{}" };
    const event = { channel: KEY, position, committedAtMs: undefined, body };
    source.events.push(event);
    void sink.append([event]);
  };
  const connect = async (cursor?: string): Promise<LinePeer> => {
    const peer = new LinePeer();
    const channel = await hub.open(source, KEY, cursor);
    peer.subscription = hub.subscribe(channel, { target: peer, format: LINES, filter: undefined, cursor });
    return peer;
  };
  return { hub, log, source, sink, append, connect };
}

describe("a client from before the history, of a source with a log of its own", () => {
  /** Three events before the restart, and the cursors of clients that have seen 0 to 3 of them. */
  async function before(): Promise<{ events: SourceEvent[]; cursors: string[] }> {
    const events: SourceEvent[] = [];
    const { append, connect } = restart(events);
    const peer = await connect();
    const cursors = [peer.lastCursor];
    for (let n = 0; n < 3; n += 1) {
      append();
      await settle();
      cursors.push(peer.lastCursor);
    }
    return { events, cursors };
  }

  it("resumes with exactly what it missed", async () => {
    const { events, cursors } = await before();
    const { append, connect } = restart(events);
    const fresh = await connect();
    append();
    for (const [seen, cursor] of cursors.entries()) {
      const back = await connect(cursor);
      await settle();
      expect(back.lines[0]).toBe(`ready ${cursor} resumed`);
      expect(back.documents).toEqual(["1", "2", "3", "4"].slice(seen));
    }
    append();
    await settle();
    expect(fresh.documents).toEqual(["4", "5"]);
  });

  it("shares what was read for another one", async () => {
    const { events, cursors } = await before();
    const { connect, source } = restart(events);
    const peers = await Promise.all([1, 0, 2, 1].map((seen) => connect(cursors[seen])));
    await settle();
    expect(peers.map((peer) => peer.documents.length)).toEqual([2, 3, 1, 2]);
    expect(source.replays).toBe(2);
  });

  it.each([
    ["the event at its place is another one", (cursor: string) => cursor.replace(/d$/, "e")],
    ["it is of another epoch", (cursor: string) => cursor.replace(".e1.", ".e0.")],
    ["it is of the future", (cursor: string) => cursor.replace(/\.[^.]*$/, ".zzz")],
  ])("is reset when %s", async (_name, change) => {
    const { events, cursors } = await before();
    const { append, connect } = restart(events);
    const back = await connect(change(cursors[1] ?? ""));
    append();
    await settle();
    expect(back.lines[0]).toBe("reset cursor_not_usable");
    expect(back.documents).toEqual(["4"]);
  });

  it("is reset by a contradiction within the history, too", async () => {
    const { append, connect } = restart([]);
    const peer = await connect();
    append();
    append();
    await settle();
    const back = await connect(peer.lastCursor.replace(/d$/, "e"));
    const behind = await connect(peer.lastCursor.replace(/d$/, "c"));
    expect([back.lines[0], behind.lines[0]]).toEqual(Array(2).fill("reset cursor_not_usable"));
  });

  it("is reset when what it missed does not fit the bounds", async () => {
    const { events, cursors } = await before();
    const { connect } = restart(events, { maxEventsPerChannel: 2 });
    expect((await connect(cursors[0])).lines[0]).toMatch(/^reset/);
    expect((await connect(cursors[1])).lines[0]).toMatch(/resumed$/);
  });

  it("is reset when changes are lost while they are read", async () => {
    const { events, cursors } = await before();
    const { connect, source, sink } = restart(events);
    await connect();
    source.meanwhile = () => {
      source.meanwhile = undefined;
      sink.lost([KEY], source.next(), "lost");
    };
    source.replay = async () => {
      await settle();
      source.meanwhile?.();
      return undefined;
    };
    expect((await connect(cursors[0])).lines[0]).toMatch(/^reset/);
  });

  it("reads again when the history has moved on meanwhile", async () => {
    const { events, cursors } = await before();
    const { append, connect, source } = restart(events, { maxEventsPerChannel: 4 });
    await connect();
    source.meanwhile = () => {
      source.meanwhile = undefined;
      for (let n = 0; n < 5; n += 1) append();
    };
    const back = await connect(cursors[2]);
    await settle();
    expect(source.replays).toBe(2);
    // One more than the history may keep: still an honest answer.
    expect(back.lines[0]).toMatch(/^reset/);
  });

  it("gets every event once and in order, or is reset, over restarts (property)", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant("reconnect" as const), peer: fc.nat(2) }),
      fc.record({ kind: fc.constant("restart" as const), bound: fc.integer({ min: 4, max: 30 }) }),
      fc.record({ kind: fc.constant("settle" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const events: SourceEvent[] = [];
        let server = restart(events);
        const clients = await Promise.all(
          [0, 1, 2].map(async () => ({ peer: await server.connect(), cursor: "", last: 0 })),
        );
        const read = (client: (typeof clients)[number]): void => {
          client.cursor = client.peer.lines.length > 0 ? client.peer.lastCursor : client.cursor;
          for (const line of client.peer.lines.splice(0)) {
            const [kind, value] = line.split(" ");
            if (kind === "reset") client.last = -1;
            if (kind !== "event") continue;
            if (client.last > 0) expect(Number(value)).toBe(client.last + 1);
            client.last = Number(value);
          }
        };
        const reconnect = async (client: (typeof clients)[number]): Promise<void> => {
          read(client);
          if (client.peer.subscription !== undefined) server.hub.unsubscribe(client.peer.subscription);
          client.peer = await server.connect(client.cursor);
        };
        for (const current of steps) {
          if (current.kind === "append") for (let n = 0; n < current.count; n += 1) server.append();
          else if (current.kind === "settle") await settle();
          else if (current.kind === "reconnect")
            await Promise.all(clients.slice(current.peer, current.peer + 1).map(reconnect));
          else {
            for (const client of clients) read(client);
            server.hub.close();
            server = restart(events, { maxEventsPerChannel: current.bound });
            await Promise.all(clients.map(reconnect));
          }
        }
        server.append();
        await settle();
        for (const client of clients) {
          // One that had fallen behind a small history was ended, and comes back.
          if (client.peer.ended !== undefined) {
            await reconnect(client);
            server.append();
            await settle();
          }
        }
        for (const client of clients) {
          read(client);
          expect(client.last).toBe(events.length);
        }
      }),
      { numRuns: 60 },
    );
  });
});
