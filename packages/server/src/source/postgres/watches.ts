import type { ChannelKey } from "../change-source.ts";
import { channelId } from "../change-source.ts";
import { notifyChannel } from "./channels.ts";
import type { CapturedTable } from "./table.ts";

/** A collection that is watched by at least one tenant. */
export interface WatchedCollection {
  readonly name: string;
  /** As it was when its first watch began, or when its subscribers were reset last. */
  table: CapturedTable;
  readonly watches: Set<Watch>;
  /** An update was delivered without its prior document. */
  hasUnknownPrior: boolean;
}

/** One channel that is received. */
export interface Watch {
  readonly key: ChannelKey;
  readonly collection: WatchedCollection;
  /** The name that is LISTENed; another watch may have the same. */
  readonly notifyChannel: string;
  /** Resolves once it is LISTENed. */
  listening: Promise<void> | undefined;
  /** It is LISTENed: before that, nobody was told anything that could be taken back. */
  begun: boolean;
}

/** What is watched, by channel key, by the LISTENed name and by collection. */
export class Watches {
  readonly #byId = new Map<string, Watch>();
  readonly #byNotifyChannel = new Map<string, Watch[]>();
  readonly #byCollection = new Map<string, WatchedCollection>();
  /** Collections that are filtered, watched or not → the hidden columns that filters name. */
  readonly #filtered = new Map<string, ReadonlySet<string>>();

  get size(): number {
    return this.#byId.size;
  }

  get(key: ChannelKey): Watch | undefined {
    return this.#byId.get(channelId(key));
  }

  add(key: ChannelKey, table: CapturedTable): Watch {
    const collection = this.#collection(key.collection, table);
    const watch: Watch = {
      key: { tenant: key.tenant, collection: key.collection },
      collection,
      notifyChannel: notifyChannel(collection.table.name, key.tenant),
      listening: undefined,
      begun: false,
    };
    collection.watches.add(watch);
    this.#byId.set(channelId(key), watch);
    this.#byNotifyChannel.set(watch.notifyChannel, [...this.on(watch.notifyChannel), watch]);
    return watch;
  }

  /** @returns whether nothing else needs the LISTENed name. */
  remove(watch: Watch): boolean {
    this.#byId.delete(channelId(watch.key));
    watch.collection.watches.delete(watch);
    if (watch.collection.watches.size === 0) this.#byCollection.delete(watch.collection.name);
    const remaining = this.on(watch.notifyChannel).filter((other) => other !== watch);
    if (remaining.length > 0) this.#byNotifyChannel.set(watch.notifyChannel, remaining);
    else this.#byNotifyChannel.delete(watch.notifyChannel);
    return remaining.length === 0;
  }

  /** Those that share a LISTENed name: its hash is ambiguous. */
  on(notifyChannelName: string): readonly Watch[] {
    return this.#byNotifyChannel.get(notifyChannelName) ?? NONE;
  }

  collections(): readonly WatchedCollection[] {
    return [...this.#byCollection.values()];
  }

  /** The channels of a table that have begun, under all its collections' names. */
  keysOfTable(oid: number): readonly ChannelKey[] {
    return this.collections()
      .filter((collection) => collection.table.oid === oid)
      .flatMap((collection) => [...collection.watches])
      .filter((watch) => watch.begun)
      .map((watch) => watch.key);
  }

  /** The hidden columns that filters of the collection name; undefined while nobody filters it. */
  filteredColumns(collection: string): ReadonlySet<string> | undefined {
    return this.#filtered.get(collection);
  }

  /** @returns the channels of the collection, if updates were delivered whose prior documents nobody knows. */
  filter(name: string, columns: Iterable<string>): readonly ChannelKey[] {
    this.#filtered.set(name, new Set([...(this.filteredColumns(name) ?? []), ...columns]));
    const collection = this.#byCollection.get(name);
    if (collection?.hasUnknownPrior !== true) return [];
    collection.hasUnknownPrior = false;
    return keysOf(collection);
  }

  clear(): void {
    this.#byId.clear();
    this.#byNotifyChannel.clear();
    this.#byCollection.clear();
  }

  #collection(name: string, table: CapturedTable): WatchedCollection {
    let collection = this.#byCollection.get(name);
    if (collection === undefined) {
      collection = { name, table, watches: new Set(), hasUnknownPrior: false };
      this.#byCollection.set(name, collection);
    }
    return collection;
  }
}

const NONE: readonly Watch[] = [];

/** The channels of a watched collection. */
export function keysOf(collection: WatchedCollection): readonly ChannelKey[] {
  return [...collection.watches].map((watch) => watch.key);
}
