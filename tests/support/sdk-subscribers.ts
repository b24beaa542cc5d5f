import { openList } from "../../packages/paperdb/src/document-list.ts";
import type { Subscriptions } from "../../packages/paperdb/src/subscriptions.ts";
import type { DocumentList, SubscribeOptions, Unsubscribe } from "../../packages/paperdb/src/types.ts";
import type { FakeDatabase, FakeDocument } from "./fake-database.ts";

/** One subscription of the application to a {@link FakeDatabase}. */
export interface FakeSubscriber {
  readonly unsubscribe: Unsubscribe;
  /** Ended by whomever. */
  isEnded: boolean;
  /** What it was told that cannot be. */
  readonly faults: readonly string[];
  /** Whether it is live, and has all that there is. */
  readonly isComplete: boolean;
}

interface FakeEvent {
  readonly documentId: string;
  readonly data: FakeDocument;
}

/** Takes events, and documents first where it wants them. */
export class EventSubscriber implements FakeSubscriber {
  isEnded = false;
  readonly faults: string[] = [];
  readonly unsubscribe: Unsubscribe;
  readonly #database: FakeDatabase;
  readonly #name: string;
  #isLive = false;
  /** As of the last reset; undefined where it wants none. */
  #documents: FakeDocument[] | undefined;
  /** The number that its next event must have. */
  #next: number | undefined;

  constructor(database: FakeDatabase, subscriptions: Subscriptions, name: string, snapshot: boolean) {
    this.#database = database;
    this.#name = name;
    if (snapshot) this.#documents = [];
    const options: SubscribeOptions = {
      snapshot,
      onReset: () => {
        this.#next = undefined;
        if (snapshot) this.#documents = [];
      },
      onStatus: (status) => {
        this.#isLive = status === "live";
        if (status === "ended") this.isEnded = true;
      },
      onError: () => undefined,
    };
    const listener = (event: FakeEvent): void => {
      this.#take(event);
    };
    this.unsubscribe = subscriptions.add({ kind: "collection", name }, options, listener).unsubscribe;
  }

  get isComplete(): boolean {
    const head = this.#database.length(this.#name);
    return this.#isLive && (this.#next === undefined ? this.#hasDocumentsAt(head) : this.#next === head + 1);
  }

  #take({ data }: FakeEvent): void {
    if (this.isEnded) this.faults.push("an event after the end");
    if (this.#documents !== undefined && !this.#isLive) {
      this.#documents.push(data);
      return;
    }
    const { sequence } = data;
    if (this.#next === undefined && !this.#hasDocumentsAt(sequence - 1)) {
      this.faults.push(`${this.#name}: event ${sequence} after ${textOf(this.#documents ?? [])}`);
    }
    if (sequence !== (this.#next ?? sequence)) this.faults.push(`event ${sequence}, not ${this.#next}`);
    this.#next = sequence + 1;
  }

  #hasDocumentsAt(sequence: number): boolean {
    if (this.#documents === undefined) return true;
    return textOf(this.#documents) === textOf(this.#database.documentsAt(this.#name, sequence).values());
  }
}

/** Keeps the documents. */
export class ListSubscriber implements FakeSubscriber {
  isEnded = false;
  readonly faults: string[] = [];
  readonly #database: FakeDatabase;
  readonly #name: string;
  readonly #list: DocumentList<FakeDocument>;
  /** The event as of which it has been. */
  #seen = 0;

  constructor(database: FakeDatabase, subscriptions: Subscriptions, name: string) {
    this.#database = database;
    this.#name = name;
    this.#list = openList(subscriptions, name, {
      onChange: (documents: readonly FakeDocument[]) => {
        this.#look(documents);
      },
      onStatus: (status) => {
        if (status === "ended") this.isEnded = true;
      },
      onError: () => undefined,
    });
  }

  get unsubscribe(): Unsubscribe {
    return this.#list.close;
  }

  get isComplete(): boolean {
    const { current, status } = this.#list;
    const all = this.#database.documentsAt(this.#name, this.#database.length(this.#name));
    return status === "live" && textOf(current) === textOf(all.values());
  }

  /** The documents must be those as of some event, not before the one that they have been as of already. */
  #look(documents: readonly FakeDocument[]): void {
    if (this.isEnded) this.faults.push("a change after the end");
    const text = textOf(documents);
    const head = this.#database.length(this.#name);
    for (let sequence = this.#seen; sequence <= head; sequence += 1) {
      if (textOf(this.#database.documentsAt(this.#name, sequence).values()) !== text) continue;
      this.#seen = sequence;
      return;
    }
    this.faults.push(`${this.#name}: ${text} was never there after event ${this.#seen}`);
  }
}

function textOf(documents: Iterable<FakeDocument>): string {
  return Array.from(documents, ({ sequence }) => sequence)
    .toSorted((left, right) => left - right)
    .join();
}
