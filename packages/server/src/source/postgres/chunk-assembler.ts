import { CHUNK_BYTES } from "./wire.ts";

const CHUNK = /^#(\d{1,20}\.\d{1,20}):(\d{1,6}):(\d{1,6}):/;

/** Puts messages together that came as several notifications. Their chunks are contiguous. */
export class ChunkAssembler {
  readonly #maxChunks: number;
  #id = "";
  #total = 0;
  #parts: Buffer[] = [];

  constructor(maxBytes: number) {
    this.#maxChunks = Math.ceil(maxBytes / CHUNK_BYTES);
  }

  /**
   * @returns the message with its last chunk; `"incomplete"` before it; `"garbage"` for what
   * cannot be a chunk of the message that is being put together.
   */
  add(channel: string, payload: string): { readonly message: string } | "incomplete" | "garbage" {
    const match = CHUNK.exec(payload);
    const [head = "", number = "", indexText = "", totalText = ""] = match ?? [];
    const index = Number(indexText);
    const total = Number(totalText);
    const id = `${channel} ${number}`;
    if (match === null || total < 1 || total > this.#maxChunks) return this.#refuse();
    if (index === 1) this.#begin(id, total);
    if (id !== this.#id || total !== this.#total || index !== this.#parts.length + 1) return this.#refuse();
    this.#parts.push(Buffer.from(payload.slice(head.length), "base64"));
    if (index < total) return "incomplete";
    const message = Buffer.concat(this.#parts).toString("utf8");
    this.clear();
    return { message };
  }

  /** Forgets a message of which some chunks are missing. */
  clear(): void {
    this.#begin("", 0);
  }

  #begin(id: string, total: number): void {
    this.#id = id;
    this.#total = total;
    this.#parts = [];
  }

  #refuse(): "garbage" {
    this.clear();
    return "garbage";
  }
}
