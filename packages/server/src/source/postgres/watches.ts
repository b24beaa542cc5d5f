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

  clear(): void {
    this.#byId.clear();
    this.#byNotifyChannel.clear();
    this.#byCollection.clear();
  }

  #collection(name: string, table: CapturedTable): WatchedCollection {
    let collection = this.#byCollection.get(name);
    if (collection === undefined) {
      collection = { name, table, watches: new Set() };
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
