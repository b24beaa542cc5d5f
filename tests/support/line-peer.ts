import type { FrameFormat, Greeting } from "../../packages/server/src/hub/delivery.ts";
import { StallingPeer } from "./stalling-peer.ts";

/** One line per frame, so that tests can read what was written. */
export const LINES: FrameFormat = {
  namesChannel: false,
  event: ({ body }, cursor) =>
    Buffer.from(`event ${"topic" in body ? body.topic : body.documentId} ${cursor}\n`),
  heartbeat: (cursor) => Buffer.from(`heartbeat ${cursor}\n`),
};

/** Keeps what it is told, line by line: see {@link LINES}. */
export class LinePeer extends StallingPeer {
  readonly lines: string[] = [];
  readonly writes: Buffer[] = [];
  readonly greetings: Greeting[] = [];

  greet(greeting: Greeting): boolean {
    this.greetings.push(greeting);
    const { cursor, resumed, resetReason } = greeting;
    const reset = resetReason === undefined ? "" : `reset ${resetReason}\n`;
    return this.write(Buffer.from(`${reset}ready ${cursor} ${resumed ? "resumed" : "new"}\n`));
  }

  get documents(): string[] {
    return this.lines.filter((line) => line.startsWith("event ")).map((line) => line.split(" ")[1] ?? "");
  }

  get lastCursor(): string {
    const words = this.lines.findLast((line) => !line.startsWith("reset "))?.split(" ") ?? [];
    return (words[0] === "event" ? words[2] : words[1]) ?? "";
  }

  protected take(frames: Buffer): void {
    this.writes.push(frames);
    this.lines.push(...frames.toString().trimEnd().split("\n"));
  }
}
