import { grantPart, type Position } from "@paperdb/protocol";
import { EventFrames } from "../log/event-frames.ts";
import type { ChannelHistory } from "../log/change-log.ts";
import type { SnapshotBatch } from "../snapshot/snapshot-reading.ts";
import type { EventFilter, FrameFormat, SnapshotFrames } from "./delivery.ts";
import type { Round } from "./round.ts";
import { frameKeysOf, newFrameKeys, seenEvent, type FrameKeys, type Variant } from "./seen-event.ts";

/** Some documents, as one write. */
export interface SnapshotFrame {
  readonly frame: Buffer;
  readonly count: number;
}

/** What {@link ViewFrames} are made of. */
export interface ViewFramesOptions {
  readonly history: ChannelHistory;
  /** Knows what cursors begin with. */
  readonly channel: { readonly cursorPrefix: string };
  /** The view's. */
  readonly name: string;
  readonly format: FrameFormat;
  readonly filter: EventFilter | undefined;
}

/** How one view writes the events of its channel's history, and documents. */
export class ViewFrames {
  readonly #history: ChannelHistory;
  readonly #channel: ViewFramesOptions["channel"];
  readonly #name: string;
  readonly #format: FrameFormat;
  readonly #filter: EventFilter | undefined;
  readonly #grantPart: string;
  /** Whether its frames are no other view's. */
  readonly #areOwn: boolean;
  #keys: FrameKeys | undefined;
  #snapshotFrames: WeakMap<SnapshotBatch, SnapshotFrame> | undefined;

  constructor({ history, channel, name, format, filter }: ViewFramesOptions) {
    this.#history = history;
    this.#channel = channel;
    this.#name = name;
    this.#format = format;
    this.#filter = filter;
    this.#grantPart = format.namesChannel ? grantPart(filter?.cursorGrant) : "";
    this.#areOwn = format.namesChannel && filter !== undefined;
  }

  /** The cursor of a subscription that stands at this place. */
  cursorAt(index: number): string {
    return this.#cursorOf(this.#history.positionAt(index));
  }

  /** Whether others may have the same frames as a view of one subscription. */
  get areShared(): boolean {
    return !this.#areOwn;
  }

  /** The event at a place. @param round - keeps it for others that have the same; left out: it is for nobody else. */
  at(index: number, variant: Variant, round?: Round): Buffer {
    const entry = this.#history.entryAt(index);
    this.#keys ??= this.#areOwn ? newFrameKeys() : frameKeysOf(this.#format);
    const key = this.#keys[variant];
    let frame = entry.frames?.get(key);
    if (frame !== undefined) return frame;
    frame = this.#encode(index, variant);
    if (round === undefined) return frame;
    entry.frames ??= new EventFrames();
    entry.frames.set(key, frame);
    round.keepFramesOf(entry, frame.length);
    return frame;
  }

  /** The documents of a batch that are to be seen, and how many they are. Shared by all that get the batch. */
  snapshot(batch: SnapshotBatch, frames: SnapshotFrames): SnapshotFrame {
    let made = this.#snapshotFrames?.get(batch);
    if (made === undefined) {
      const query = this.#filter?.documents;
      const documents = query === undefined ? batch : batch.filter((document) => query.matches(document));
      made = { frame: frames.documents(documents), count: documents.length };
      this.#snapshotFrames ??= new WeakMap();
      this.#snapshotFrames.set(batch, made);
    }
    return made;
  }

  /** The event at a place within a snapshot. */
  snapshotEvent(index: number, variant: Variant, frames: SnapshotFrames): Buffer {
    return frames.event(seenEvent(this.#history.entryAt(index).event, variant), this.#name);
  }

  #encode(index: number, variant: Variant): Buffer {
    const { event } = this.#history.entryAt(index);
    return this.#format.event(seenEvent(event, variant), this.#cursorOf(event.position), this.#name);
  }

  #cursorOf(position: Position): string {
    return this.#channel.cursorPrefix + this.#grantPart + position;
  }
}
