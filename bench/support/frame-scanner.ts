import { readSequence, SEQUENCE_MARK } from "./sequence-text.ts";

const FRAME_END = Buffer.from("\n\n");
const MESSAGE_START = Buffer.from("id: ");

/** Told of what a {@link FrameScanner} finds. */
export interface FrameListener {
  /** A numbered event, in the order of the stream. */
  event(sequence: number): void;
  /** `ready`, `reset`, or any other frame that names an event. */
  named(name: string): void;
}

/**
 * Finds the events in an SSE stream, without decoding it: the client of a
 * benchmark must not be what the benchmark measures.
 */
export class FrameScanner {
  readonly #listener: FrameListener;
  #rest: Buffer | undefined;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** Takes the next bytes. They are not kept, so their memory may be used again. */
  push(bytes: Buffer): void {
    const all = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    let from = 0;
    for (;;) {
      const end = all.indexOf(FRAME_END, from);
      if (end === -1) break;
      this.#frame(all.subarray(from, end));
      from = end + FRAME_END.length;
    }
    this.#rest = from === all.length ? undefined : Buffer.from(all.subarray(from));
  }

  #frame(frame: Buffer): void {
    if (!startsWith(frame, MESSAGE_START)) {
      const name = /^event: (.*)$/m.exec(frame.toString("latin1"))?.[1];
      if (name !== undefined) this.#listener.named(name);
      return;
    }
    const at = frame.lastIndexOf(SEQUENCE_MARK);
    if (at !== -1) this.#listener.event(readSequence(frame, at + SEQUENCE_MARK.length));
  }
}

function startsWith(frame: Buffer, start: Buffer): boolean {
  return frame.length >= start.length && start.equals(frame.subarray(0, start.length));
}
