import { sequencePosition, type ChangeType } from "@paperdb/protocol";
import type {
  ChangeSink,
  ChannelKey,
  Snapshot,
  SourceEvent,
} from "../../packages/server/src/source/change-source.ts";
import { KEY, nextTurn } from "./hub.ts";
import { StillSource } from "./still-source.ts";

/** `n` counts the document's changes. */
export interface Doc {
  readonly n: number;
  readonly flag: number;
}

/** A database whose commits can be in its log before others see them. */
export class LimboSource extends StillSource {
  readonly docs = new Map<string, Doc>();
  sink: ChangeSink | undefined;
  snapshots = 0;
  /** How often the first document changes before each batch. */
  noise = 0;
  /** How often it was asked whether a snapshot saw an event. */
  asked = 0;
  /** Until it resolves there is no snapshot. */
  holding: Promise<void> = Promise.resolve();
  /** What the next snapshots do instead. */
  failure: Error | undefined;
  #visible = new Map<string, Doc>();
  readonly #limbo = new Map<number, { readonly id: string; readonly position: string }>();

  /** Changes a document that nobody else is changing. */
  write(id: string, isRemoved: boolean, isVisible: boolean): void {
    if ([...this.#limbo.values()].some((waiting) => waiting.id === id)) return;
    const before = this.docs.get(id);
    if (before === undefined && isRemoved) return;
    const after = isRemoved ? undefined : { n: (before?.n ?? 0) + 1, flag: this.sequence % 3 === 0 ? 0 : 1 };
    const type: ChangeType = after === undefined ? "delete" : before === undefined ? "insert" : "update";
    if (after === undefined) this.docs.delete(id);
    else this.docs.set(id, after);
    const formerPosition = sequencePosition(this.sequence);
    this.sequence += 1;
    const prior = before === undefined || type === "delete" ? {} : { prior: JSON.stringify(before) };
    const event: SourceEvent = {
      channel: KEY,
      position: sequencePosition(this.sequence),
      committedAtMs: undefined,
      transaction: this.sequence,
      body: { type, documentId: id, document: JSON.stringify(after ?? before), ...prior },
    };
    if (isVisible) this.#show(id);
    else this.#limbo.set(this.sequence, { id, position: formerPosition });
    void this.sink?.append([event]);
  }

  /** Everybody sees everything. */
  reveal(): void {
    for (const { id } of this.#limbo.values()) this.#show(id);
    this.#limbo.clear();
  }

  lose(): void {
    this.sequence += 1;
    this.sink?.lost("all", sequencePosition(this.sequence), "lost");
  }

  async snapshot(_key: ChannelKey, _narrowing: unknown, signal: AbortSignal): Promise<Snapshot> {
    this.snapshots += 1;
    await this.holding;
    if (this.failure !== undefined) throw this.failure;
    const now = sequencePosition(this.sequence);
    const unseen = new Set(this.#limbo.keys());
    const newest = this.sequence;
    const rows = [...this.#visible].map(([documentId, doc]) => ({
      documentId,
      document: JSON.stringify(doc),
    }));
    const disturb = (): void => {
      for (let count = 0; count < this.noise; count += 1) this.write("0", false, true);
    };
    async function* batches() {
      for (let from = 0; from < rows.length; from += 2) {
        await nextTurn();
        disturb();
        signal.throwIfAborted();
        yield rows.slice(from, from + 2);
      }
    }
    return {
      since: [...this.#limbo.values()].map(({ position }) => position).toSorted()[0] ?? now,
      batches: batches(),
      seam: async () => {
        await nextTurn();
        const saw = ({ transaction = 0 }: SourceEvent): boolean => {
          this.asked += 1;
          return transaction <= newest && !unseen.has(transaction);
        };
        return { position: sequencePosition(this.sequence), saw };
      },
    };
  }

  /** Something has changed that is in none of our channels. */
  writeElsewhere(): void {
    this.sequence += 1;
  }

  position(): string {
    return sequencePosition(this.sequence);
  }

  #show(id: string): void {
    const doc = this.docs.get(id);
    if (doc === undefined) this.#visible.delete(id);
    else this.#visible.set(id, doc);
  }
}
