import type { Arrivals } from "./arrivals.ts";
import type { EventBuffer } from "./event-buffer.ts";
import type { Read, StreamReader } from "./stream-reader.ts";

/** What {@link readOn} works with. */
export interface ReadOnOptions {
  readonly buffer: EventBuffer;
  readonly arrivals: Arrivals;
  /** Whether the reader was not replaced by another one. */
  readonly isCurrent: () => boolean;
  /** Takes what was read. */
  readonly take: (read: Read) => void;
}

/**
 * Reads a stream for as long as it is the current one, no faster than the log takes it.
 *
 * @throws what the stream fails with; nothing when it is not the current one any more.
 */
export async function readOn(
  reader: StreamReader,
  { buffer, arrivals, isCurrent, take }: ReadOnOptions,
): Promise<void> {
  try {
    while (isCurrent()) {
      const pressure = buffer.pressure();
      if (pressure !== undefined) await pressure;
      const read = await arrivals.next(reader);
      if (isCurrent()) take(read);
    }
  } catch (error) {
    if (isCurrent()) throw error;
  }
}
