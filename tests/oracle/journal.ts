import type { Image } from "./image.ts";

/** What one transaction did, in the order in which it did it. */
export type Entry =
  | {
      readonly kind: "change";
      readonly collection: string;
      readonly before: Image | undefined;
      readonly after: Image | undefined;
    }
  | { readonly kind: "truncated"; readonly collection: string }
  | { readonly kind: "published"; readonly tenant: string; readonly mark: number };

/** A transaction that took effect. */
export interface CommittedTransaction {
  readonly id: number;
  readonly entries: readonly Entry[];
  /** When its commit was asked for, in ms: whoever was live before then must be told of it. */
  readonly askedAtMs: number;
}

/** What writers have done: the truth that subscribers are compared with. */
export class Journal {
  readonly #images = new Map<number, Image>();
  readonly #committed = new Map<number, CommittedTransaction>();

  /** An image that was written, whether or not its transaction will take effect. */
  addImage(image: Image): void {
    this.#images.set(image.mark, image);
  }

  image(mark: number): Image | undefined {
    return this.#images.get(mark);
  }

  add(transaction: CommittedTransaction): void {
    this.#committed.set(transaction.id, transaction);
  }

  get size(): number {
    return this.#committed.size;
  }

  /** All transactions, in the order that the database gives. @throws when the two do not have the same transactions. */
  inOrder(ids: readonly number[]): readonly CommittedTransaction[] {
    const ordered = ids.map((id) => this.#committed.get(id));
    const unknown = ids.filter((id) => !this.#committed.has(id));
    if (unknown.length > 0 || ordered.length !== this.#committed.size) {
      throw new Error(
        `The database committed ${String(ids.length)} transactions, the journal has ${String(this.#committed.size)}; not in it: ${unknown.join(", ")}.`,
      );
    }
    return ordered.filter((transaction) => transaction !== undefined);
  }
}
