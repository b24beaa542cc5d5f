import { constants } from "node:fs";
import { open, stat, truncate } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

/** The file that PostgreSQL itself writes its messages to. It outlives a killed server, as PostgreSQL does. */
export class DatabaseLog {
  readonly path: string;
  readonly #maxBytes: number;

  constructor(path: string, maxBytes: number) {
    this.path = path;
    this.#maxBytes = maxBytes;
  }

  /** Opens it to be handed to PostgreSQL. */
  async open(): Promise<FileHandle> {
    await this.trim();
    const { O_APPEND, O_CREAT, O_WRONLY } = constants;
    return open(this.path, O_APPEND | O_CREAT | O_WRONLY, 0o600);
  }

  /** Empties the file once it exceeds its bound. Safe while PostgreSQL writes, since it appends. */
  async trim(): Promise<void> {
    if ((await this.fetchSize()) > this.#maxBytes) await truncate(this.path, 0);
  }

  /** Its length in bytes, 0 where there is none. */
  async fetchSize(): Promise<number> {
    return stat(this.path).then(
      (status) => status.size,
      () => 0,
    );
  }

  /** What was written after `offset`, at most 64 KiB of it. */
  async fetchAfter(offset: number): Promise<string> {
    const file = await open(this.path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, offset);
      return buffer.toString("utf8", 0, bytesRead);
    } finally {
      await file.close();
    }
  }
}
