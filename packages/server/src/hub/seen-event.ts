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

type FrameKeys = Readonly<Record<Variant, object>>;

const FRAME_KEYS = new WeakMap<FrameFormat, FrameKeys>();

/** What an event's frame in a format is kept by. */
export function frameKey(format: FrameFormat, variant: Variant): object {
  let keys = FRAME_KEYS.get(format);
  if (keys === undefined) {
    keys = { as_is: format, insert: {}, delete: {} };
    FRAME_KEYS.set(format, keys);
  }
  return keys[variant];
}
