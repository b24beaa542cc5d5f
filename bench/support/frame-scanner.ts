const FRAME_END = Buffer.from("\n\n");
const SEQUENCE = Buffer.from('"seq":"');
const MESSAGE_START = Buffer.from("id: ");
const DIGITS = 10;
const ZERO = 0x30;
const NINE = 0x39;

/** Told of what a {@link FrameScanner} finds. */
export interface FrameListener {
  /** A numbered event, in the order of the stream. */
  event(sequence: number): void;
  /** `ready`, `reset`, or any other frame that names an event. */
  named(name: string): void;
}

/** The `seq` field of a document or an event's data: of one width, so that it takes no JSON parser to find it. */
export function sequenceText(sequence: number): string {
  return String(sequence).padStart(DIGITS, "0");
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
    const at = frame.lastIndexOf(SEQUENCE);
    if (at !== -1) this.#listener.event(readDigits(frame, at + SEQUENCE.length));
  }
}

function startsWith(frame: Buffer, start: Buffer): boolean {
  return frame.length >= start.length && start.equals(frame.subarray(0, start.length));
}

function readDigits(frame: Buffer, from: number): number {
  let value = 0;
  for (let index = from; index < from + DIGITS; index += 1) {
    const digit = frame[index] ?? 0;
    if (digit < ZERO || digit > NINE) throw new Error("An event's seq is not a number.");
    value = value * 10 + (digit - ZERO);
  }
  return value;
}
