import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../change-source.ts";

/** A tenant that waits for the stream to be opened with it. */
export interface Join {
  readonly key: ChannelKey;
  readonly joined: Promise<Position>;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: unknown) => void;
}

/** A join and how to settle it. */
export function createJoin(key: ChannelKey): Join {
  let settle: Pick<Join, "resolve" | "reject"> | undefined;
  const joined = new Promise<Position>((resolve, reject) => {
    settle = { resolve, reject };
  });
  if (settle === undefined) throw new Error("A promise did not start.");
  // Whoever waits sees the rejection; nobody may be waiting any more.
  joined.catch(ignoreRejection);
  return { key, joined, ...settle };
}

function ignoreRejection(): void {
  // Nothing to do here.
}
