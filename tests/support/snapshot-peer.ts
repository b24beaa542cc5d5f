import type { ChangeType } from "@paperdb/protocol";
import type { FrameFormat, Greeting } from "../../packages/server/src/hub/delivery.ts";
import type { SourceEvent } from "../../packages/server/src/source/change-source.ts";
import type { Doc } from "./limbo-source.ts";
import { StallingPeer } from "./stalling-peer.ts";

/** What a peer is told. */
type Line =
  | {
      readonly kind: "documents";
      readonly documents: readonly { readonly documentId: string; readonly document: string }[];
    }
  | {
      readonly kind: "event";
      readonly type: ChangeType;
      readonly id: string;
      readonly doc: Doc;
      readonly cursor?: string;
    }
  | { readonly kind: "reset"; readonly reason: string }
  | { readonly kind: "quiet" }
  | { readonly kind: "ready"; readonly cursor: string; readonly resumed: boolean };

const encode = (line: Line): Buffer => Buffer.from(`${JSON.stringify(line)}\n`);
const eventLine = ({ body }: SourceEvent, cursor?: string): Buffer => {
  if ("topic" in body) throw new Error("There are no topics here.");
  const doc = JSON.parse(body.document) as Doc;
  const { type, documentId: id } = body;
  return encode({ kind: "event", type, id, doc, ...(cursor === undefined ? {} : { cursor }) });
};
/** One JSON text per frame. */
export const JSON_LINES: FrameFormat = {
  namesChannel: false,
  event: (event, cursor) => eventLine(event, cursor),
  heartbeat: () => Buffer.from(""),
  snapshots: {
    documents: (documents) => encode({ kind: "documents", documents }),
    event: (event) => eventLine(event),
    quiet: encode({ kind: "quiet" }),
  },
};

/** Keeps what it is told as {@link JSON_LINES}, and notices whatever does not fit. */
export class SnapshotPeer extends StallingPeer {
  readonly lines: Line[] = [];
  readonly held = new Map<string, Doc>();
  readonly problems: string[] = [];
  readonly snapshots = {
    write: (documents: Buffer): boolean => this.write(documents),
    reset: (reason: string): boolean => this.write(encode({ kind: "reset", reason })),
  };
  isLive = false;

  greet({ cursor, resumed, resetReason }: Greeting): boolean {
    if (resetReason !== undefined) this.problems.push("a reset without a snapshot");
    return this.write(encode({ kind: "ready", cursor, resumed }));
  }
  protected take(frames: Buffer): void {
    if (!this.keepsUp) this.problems.push("written to although it does not keep up");
    for (const text of frames.toString().split("\n")) if (text !== "") this.#hear(JSON.parse(text) as Line);
  }
  get kinds(): readonly string[] {
    return this.lines.map(({ kind }) => kind);
  }

  #hear(line: Line): void {
    this.lines.push(line);
    if (line.kind === "reset") {
      this.held.clear();
      this.isLive = false;
    } else if (line.kind === "ready") {
      if (this.isLive) this.problems.push("ready twice");
      this.isLive = true;
    } else if (line.kind === "documents") {
      if (this.isLive) this.problems.push("documents after ready");
      for (const { documentId, document } of line.documents) {
        if (this.held.has(documentId)) this.problems.push(`${documentId} twice`);
        this.held.set(documentId, JSON.parse(document) as Doc);
      }
    } else if (line.kind === "event") this.#apply(line);
    else if (this.isLive) this.problems.push("waits after ready");
  }

  #apply({ type, id, doc, cursor }: Extract<Line, { kind: "event" }>): void {
    const before = this.held.get(id);
    if ((cursor !== undefined) !== this.isLive) this.problems.push("a cursor before ready, or none after it");
    if ((type === "insert") !== (before === undefined)) this.problems.push(`${type} of ${id}`);
    const isNext = type === "delete" ? before?.n === doc.n : before === undefined || doc.n === before.n + 1;
    if (!isNext) this.problems.push(`${type} of ${id} skips a change`);
    if (type === "delete") this.held.delete(id);
    else this.held.set(id, doc);
  }
}
