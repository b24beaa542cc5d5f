import { sequencePosition } from "@paperdb/protocol";
import type { ChangeSource, ChannelKey } from "../../packages/server/src/source/change-source.ts";

/** A source that watches every channel at once, and in which nothing happens by itself. */
export class StillSource implements ChangeSource {
  readonly name: string;
  epoch = "e1";
  /** Of its newest event. */
  sequence = 0;

  constructor(name = "still") {
    this.name = name;
  }

  state(): { live: true } {
    return { live: true };
  }

  collections(): [] {
    return [];
  }

  whyNotCollection(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  watch(_key: ChannelKey): Promise<string> {
    return Promise.resolve(sequencePosition(this.sequence));
  }

  unwatch(_key: ChannelKey): void {
    // Nothing is kept for a channel.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
