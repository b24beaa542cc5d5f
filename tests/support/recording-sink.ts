import { channelId } from "../../packages/server/src/source/change-source.ts";
import type { ChangeSink, ChannelKey, SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { until } from "./until.ts";

/** A document change as a test reads it. */
export interface ReceivedChange {
  readonly type: string;
  readonly id: string;
  readonly document: Readonly<Record<string, unknown>>;
  /** The document exactly as it would be sent. */
  readonly text: string;
}

/** Keeps what a source pushes, in order. */
export class RecordingSink implements ChangeSink {
  readonly events: SourceEvent[] = [];
  readonly resets: { readonly channels: readonly string[] | "all"; readonly reason: string }[] = [];
  readonly droppedCollections: string[] = [];
  /** Positions of events and resets in the order in which they came. */
  readonly positions: string[] = [];

  append(events: readonly SourceEvent[]): void | Promise<void> {
    this.events.push(...events);
    this.positions.push(...events.map((event) => event.position));
  }

  lost(channels: Iterable<ChannelKey> | "all", position: string, reason: string): void {
    this.resets.push({ channels: channels === "all" ? "all" : [...channels].map(channelId), reason });
    this.positions.push(position);
  }

  dropped(collection: string): void {
    this.droppedCollections.push(collection);
  }

  /** The changes of one channel so far. */
  changes(tenant: string, collection: string): readonly ReceivedChange[] {
    return this.events.flatMap(({ channel, body }) =>
      "documentId" in body && channel.tenant === tenant && channel.collection === collection
        ? [
            {
              type: body.type,
              id: body.documentId,
              document: parseObject(body.document),
              text: body.document,
            },
          ]
        : [],
    );
  }

  /** Waits for a number of changes of one channel, and refuses more. */
  async next(tenant: string, collection: string, count: number): Promise<readonly ReceivedChange[]> {
    await until(() => this.changes(tenant, collection).length >= count, {
      describe: () =>
        `${String(count)} changes of ${collection} for ${tenant}; there are ${String(this.changes(tenant, collection).length)}`,
    });
    const changes = this.changes(tenant, collection);
    if (changes.length > count) throw new Error(`There are ${String(changes.length)} changes.`);
    return changes;
  }

  /** How often a channel was reset for this reason. */
  resetsOf(tenant: string, collection: string, reason: string): number {
    const id = channelId({ tenant, collection });
    return this.resets.filter(
      (reset) => reset.reason === reason && (reset.channels === "all" || reset.channels.includes(id)),
    ).length;
  }
}

export function parseObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw new TypeError("A document is no object.");
  return Object.fromEntries(Object.entries(value));
}
