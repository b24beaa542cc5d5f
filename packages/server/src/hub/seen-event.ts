import type { SourceEvent } from "../source/change-source.ts";
import type { FrameFormat, Sight } from "./delivery.ts";

/** How an event that is seen at all is seen. */
export type Variant = Exclude<Sight, "nothing">;

/** The event that a subscriber is told of. */
export function seenEvent(event: SourceEvent, variant: Variant): SourceEvent {
  const { body } = event;
  if (variant === "as_is" || "topic" in body) return event;
  const { documentId } = body;
  // What the document is now is not for one that does not see it any more.
  const document = variant === "insert" ? body.document : (body.prior ?? "null");
  return { ...event, body: { type: variant, documentId, document } };
}

/** What an event's frames are kept by, for those that have the same. */
export type FrameKeys = Readonly<Record<Variant, object>>;

const FRAME_KEYS = new WeakMap<FrameFormat, FrameKeys>();

/** Of all frames of a format. */
export function frameKeysOf(format: FrameFormat): FrameKeys {
  let keys = FRAME_KEYS.get(format);
  if (keys === undefined) {
    keys = newFrameKeys();
    FRAME_KEYS.set(format, keys);
  }
  return keys;
}

/** Of frames that are like no others. */
export function newFrameKeys(): FrameKeys {
  return { as_is: {}, insert: {}, delete: {} };
}
