import { bodyText } from "./body-text.ts";
import type { Image } from "./image.ts";
import type { Entry, Journal } from "./journal.ts";
import type { LaneState } from "./lane-state.ts";
import type { CollectionPlan, SlotWrite, Step } from "./plan.ts";
import type { RowChange, RowWrite, StoreTransaction } from "./store.ts";

/** Marks of one transaction: more than it can write. */
const MARKS = 10_000;

interface Savepoint {
  readonly name: string;
  readonly state: LaneState;
  readonly entries: number;
}

/** A transaction under way: takes steps, and knows what will have happened if it commits. */
export class OpenTransaction {
  state: LaneState;
  entries: Entry[] = [];
  readonly #store: StoreTransaction;
  readonly #collections: ReadonlyMap<string, CollectionPlan>;
  readonly #journal: Journal;
  #savepoints: Savepoint[] = [];
  #nextMark: number;

  constructor(
    id: number,
    state: LaneState,
    tools: {
      readonly store: StoreTransaction;
      readonly journal: Journal;
      readonly collections: ReadonlyMap<string, CollectionPlan>;
    },
  ) {
    this.state = state.copy();
    this.#store = tools.store;
    this.#journal = tools.journal;
    this.#collections = tools.collections;
    this.#nextMark = id * MARKS;
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "write":
        await this.#write(this.#collection(step.collection), step.rows);
        break;
      case "delete":
        await this.#delete(this.#collection(step.collection), step.slots);
        break;
      case "move":
        await this.#change(step, (collection) => ({ values: { [collection.tenantColumn]: step.tenant } }));
        break;
      case "finish":
        await this.#change(step, () => ({ values: step.values, isPartial: true }));
        // The next document of the slot is another one.
        if (this.state.get(step.collection, step.slot) !== undefined) {
          this.state.delete(step.collection, step.slot);
          this.state.nextKeyOf(step.collection, step.slot);
        }
        break;
      case "rekey":
        await this.#change(step, ({ name }) => ({
          values: {},
          newKey: this.state.nextKeyOf(name, step.slot),
        }));
        break;
      case "truncate":
        await this.#store.truncate(this.#collection(step.collection));
        this.state.clear(step.collection);
        this.entries.push({ kind: "truncated", collection: step.collection });
        break;
      case "publish":
        await this.#publish(step.tenant);
        break;
      case "savepoint":
        await this.#savepoint();
        break;
      case "rollback_to":
        await this.#rollbackTo();
        break;
      case "release": {
        const released = this.#savepoints.pop();
        if (released !== undefined) await this.#store.release(released.name);
        break;
      }
    }
  }

  async #write(collection: CollectionPlan, rows: readonly SlotWrite[]): Promise<void> {
    const inserts: (RowWrite & { readonly slot: number })[] = [];
    const changes: (RowChange & { readonly slot: number })[] = [];
    for (const { slot, tenant, values, bodyLength } of rows) {
      const found = this.state.get(collection.name, slot);
      const mark = this.#takeMark();
      const body = bodyLength === undefined ? {} : { body: bodyText(mark, bodyLength) };
      if (found === undefined) {
        const key = this.state.keyOf(collection.name, slot);
        inserts.push({ slot, key, mark, values: { ...values, ...body, [collection.tenantColumn]: tenant } });
      } else {
        changes.push({ slot, key: found.key, mark, before: found.image, values: { ...values, ...body } });
      }
    }
    if (changes.length > 0) {
      this.#recordChanges(collection, changes, await this.#store.update(collection, changes));
    }
    if (inserts.length > 0) {
      this.#recordInserts(collection, inserts, await this.#store.insert(collection, inserts));
    }
  }

  async #change(
    { collection: name, slot }: { readonly collection: string; readonly slot: number },
    make: (collection: CollectionPlan) => Pick<RowChange, "values" | "newKey" | "isPartial">,
  ): Promise<void> {
    const collection = this.#collection(name);
    const found = this.state.get(name, slot);
    if (found === undefined) return;
    const change = { key: found.key, mark: this.#takeMark(), before: found.image, slot, ...make(collection) };
    this.#recordChanges(collection, [change], await this.#store.update(collection, [change]));
  }

  async #delete(collection: CollectionPlan, slots: readonly number[]): Promise<void> {
    const found = slots.flatMap((slot) => {
      const document = this.state.get(collection.name, slot);
      return document === undefined ? [] : [{ slot, image: document.image }];
    });
    if (found.length === 0) return;
    const byMark = new Map(found.map(({ image }) => [image.mark, image]));
    const removed = await this.#store.remove(collection, [...byMark.values()]);
    for (const mark of removed) {
      this.entries.push({
        kind: "change",
        collection: collection.name,
        before: byMark.get(mark),
        after: undefined,
      });
    }
    for (const { slot } of found) this.state.delete(collection.name, slot);
  }

  #recordInserts(
    { name }: CollectionPlan,
    rows: readonly (RowWrite & { readonly slot: number })[],
    images: readonly Image[],
  ): void {
    const byMark = new Map(rows.map((row) => [row.mark, row]));
    for (const after of images) {
      const row = byMark.get(after.mark);
      if (row === undefined) throw new Error(`Nobody inserted ${String(after.mark)}.`);
      this.#journal.addImage(after);
      this.state.set(name, row.slot, { key: row.key, image: after });
      this.entries.push({ kind: "change", collection: name, before: undefined, after });
    }
  }

  #recordChanges(
    { name }: CollectionPlan,
    rows: readonly (RowChange & { readonly slot: number })[],
    images: readonly Image[],
  ): void {
    const byMark = new Map(rows.map((row) => [row.mark, row]));
    for (const after of images) {
      const row = byMark.get(after.mark);
      if (row === undefined) throw new Error(`Nobody changed ${String(after.mark)}.`);
      byMark.delete(after.mark);
      this.#journal.addImage(after);
      this.state.set(name, row.slot, { key: row.newKey ?? row.key, image: after });
      this.entries.push({ kind: "change", collection: name, before: row.before, after });
    }
    // Somebody else truncated.
    for (const { slot } of byMark.values()) this.state.delete(name, slot);
  }

  async #publish(tenant: string): Promise<void> {
    const mark = this.#takeMark();
    await this.#store.publish(tenant, mark);
    this.entries.push({ kind: "published", tenant, mark });
  }

  async #savepoint(): Promise<void> {
    const name = `s${String(this.#savepoints.length)}`;
    await this.#store.savepoint(name);
    this.#savepoints.push({ name, state: this.state.copy(), entries: this.entries.length });
  }

  async #rollbackTo(): Promise<void> {
    const savepoint = this.#savepoints.at(-1);
    if (savepoint === undefined) return;
    await this.#store.rollbackTo(savepoint.name);
    this.state = savepoint.state.copy();
    this.entries = this.entries.slice(0, savepoint.entries);
  }

  #collection(name: string): CollectionPlan {
    const collection = this.#collections.get(name);
    if (collection === undefined) throw new Error(`There is no collection ${name}.`);
    return collection;
  }

  #takeMark(): number {
    this.#nextMark += 1;
    return this.#nextMark;
  }
}
