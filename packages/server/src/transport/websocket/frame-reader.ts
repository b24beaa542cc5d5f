import { isUtf8 } from "node:buffer";
import {
  FrameError,
  isControl,
  MASK_BYTES,
  OPCODES,
  readFrameHead,
  VIOLATIONS,
  type FrameHead,
} from "./frame-head.ts";
import { GrowingBuffer } from "./growing-buffer.ts";

/** What a {@link FrameReader} reads. Buffers are valid during the call only. */
export interface FrameEvents {
  /** Whether messages are of use: others are passed over, and cost nothing. */
  readonly wantsMessages: boolean;
  /** A message, whole; the text of one is UTF-8. */
  message(data: Buffer, isBinary: boolean): void;
  pinged(payload: Buffer): void;
  ponged(): void;
  /** The client's close frame: nothing is read after it. */
  saidGoodbye(code: number | undefined, reason: Buffer): void;
}

/** Bounds on a client's messages. */
export interface FrameLimits {
  readonly maxMessageBytes: number;
  /** Frames of one message. */
  readonly maxMessageFrames: number;
  /**
   * Makes a compressed message readable; without it there are none.
   *
   * @throws {FrameError}
   */
  readonly inflate?: ((payload: Buffer) => Buffer) | undefined;
}

/** So many of the longest messages may be made readable of what comes at once: more is sent to use up memory and time. */
const MAX_INFLATED_MESSAGES = 16;
/** What it takes to make even the shortest message readable is counted as so many bytes. */
const MIN_INFLATED_BYTES = 1024;

/**
 * Reads the frames of one client (RFC 6455, section 5). One that is not
 * {@link isBetweenMessages} has all that is to be kept; another one can take its
 * place, so that a connection that is silent needs none.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  readonly #events: FrameEvents;
  /** The beginning of a frame. */
  #incomplete: GrowingBuffer | undefined;
  /** Of a message in several frames, those that came so far. */
  #message: GrowingBuffer | undefined;
  #messageOpcode = 0;
  #isCompressed = false;
  #frames = 0;
  /** Of compressed messages, since {@link read} was called. */
  #inflatedBytes = 0;
  #isDone = false;

  constructor(limits: FrameLimits, events: FrameEvents) {
    this.#limits = limits;
    this.#events = events;
  }

  /** Whether there is nothing of which the rest is still to come. */
  get isBetweenMessages(): boolean {
    return this.#incomplete === undefined && this.#message === undefined;
  }

  /** @throws {FrameError} nothing is to be read after it. */
  read(received: Buffer): void {
    const held = this.#incomplete;
    this.#inflatedBytes = 0;
    held?.append(received);
    const bytes = held?.bytes ?? received;
    let at = 0;
    while (!this.#isDone) {
      const head = readFrameHead(bytes, at);
      if (head === undefined) break;
      this.#check(head);
      const end = head.payloadAt + head.payloadBytes;
      if (bytes.length < end) break;
      this.#take(head, unmask(bytes.subarray(head.payloadAt - MASK_BYTES, end)));
      at = end;
    }
    if (held === undefined || at > 0) this.#keep(bytes.subarray(at));
  }

  #keep(rest: Buffer): void {
    this.#incomplete = undefined;
    if (rest.length === 0 || this.#isDone) return;
    // A copy does not keep all that was received with it.
    this.#incomplete = new GrowingBuffer();
    this.#incomplete.append(rest);
  }

  /** Before the payload is there, so that none is kept that is of no use. */
  #check({ opcode, isCompressed, payloadBytes }: FrameHead): void {
    if (isControl(opcode)) return;
    if ((opcode === OPCODES.continuation) === (this.#message === undefined)) throw protocolError();
    if (isCompressed && this.#limits.inflate === undefined) throw protocolError();
    if ((this.#message?.length ?? 0) + payloadBytes > this.#limits.maxMessageBytes) {
      throw new FrameError(VIOLATIONS.messageTooBig);
    }
  }

  #take({ opcode, isFinal, isCompressed }: FrameHead, payload: Buffer): void {
    if (isControl(opcode)) this.#takeControl(opcode, payload);
    else if (isFinal && this.#message === undefined) this.#finish(opcode, isCompressed, payload);
    else this.#takePart(opcode, isFinal, isCompressed, payload);
  }

  #takePart(opcode: number, isFinal: boolean, isCompressed: boolean, payload: Buffer): void {
    if (this.#message === undefined) {
      this.#message = new GrowingBuffer();
      this.#messageOpcode = opcode;
      this.#isCompressed = isCompressed;
      this.#frames = 0;
    }
    this.#frames += 1;
    if (this.#frames > this.#limits.maxMessageFrames) throw new FrameError(VIOLATIONS.tooManyParts);
    this.#message.append(payload);
    if (!isFinal) return;
    const { bytes } = this.#message;
    this.#message = undefined;
    this.#finish(this.#messageOpcode, this.#isCompressed, bytes);
  }

  #finish(opcode: number, isCompressed: boolean, payload: Buffer): void {
    if (!this.#events.wantsMessages) return;
    const data = isCompressed ? this.#inflate(payload) : payload;
    const isBinary = opcode === OPCODES.binary;
    if (!isBinary && !isUtf8(data)) throw new FrameError(VIOLATIONS.invalidData);
    this.#events.message(data, isBinary);
  }

  #inflate(payload: Buffer): Buffer {
    const { inflate, maxMessageBytes } = this.#limits;
    if (inflate === undefined) throw protocolError();
    const data = inflate(payload);
    this.#inflatedBytes += Math.max(data.length, MIN_INFLATED_BYTES);
    if (this.#inflatedBytes > Math.max(maxMessageBytes, MIN_INFLATED_BYTES) * MAX_INFLATED_MESSAGES) {
      throw new FrameError(VIOLATIONS.messageTooBig);
    }
    return data;
  }

  #takeControl(opcode: number, payload: Buffer): void {
    if (opcode === OPCODES.ping) this.#events.pinged(payload);
    else if (opcode === OPCODES.pong) this.#events.ponged();
    else this.#takeGoodbye(payload);
  }

  #takeGoodbye(payload: Buffer): void {
    this.#isDone = true;
    if (payload.length === 0) {
      this.#events.saidGoodbye(undefined, payload);
      return;
    }
    const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
    const reason = payload.subarray(2);
    if (!isCloseCode(code)) throw protocolError();
    if (!isUtf8(reason)) throw new FrameError(VIOLATIONS.invalidData);
    this.#events.saidGoodbye(code, reason);
  }
}

/** Whether a close frame may have it (RFC 6455, section 7.4, and what was registered since). */
function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

/** In place. @param masked - the mask, and the payload behind it. @returns the payload. */
function unmask(masked: Buffer): Buffer {
  const payload = masked.subarray(MASK_BYTES);
  for (let index = 0; index < payload.length; index += 1) {
    payload[index] = (payload[index] ?? 0) ^ (masked[index & 3] ?? 0);
  }
  return payload;
}

function protocolError(): FrameError {
  return new FrameError(VIOLATIONS.protocolError);
}
