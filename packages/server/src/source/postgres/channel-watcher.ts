import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import { ListenerDownError } from "../../postgres/listener.ts";
import { quoteQualifiedName } from "../../postgres/identifier.ts";
import type { QualifiedName } from "../../postgres/identifier.ts";
import type { PgListener } from "../../postgres/listener.ts";
import type { ChannelKey } from "../change-source.ts";
import { cannotBeAsked } from "../source-errors.ts";
import type { Capturer } from "./capturer.ts";
import type { GrantedColumns } from "./granted-columns.ts";
import { justChanged } from "./just-changed.ts";
import type { NotifySettings } from "./settings.ts";
import type { CapturedTable } from "./table.ts";
import type { Watch, WatchedCollection, Watches } from "./watches.ts";

/** What a {@link ChannelWatcher} works with. */
export interface ChannelWatcherOptions {
  /** The source's name, for sentences. */
  readonly source: string;
  readonly capturer: Capturer;
  readonly grantedColumns: GrantedColumns;
  readonly listener: PgListener;
  readonly watches: Watches;
  readonly settings: NotifySettings;
  readonly log: Logger;
  /** A channel that was not received before is LISTENed, and nobody has been told yet. */
  readonly began: () => void;
  /** Resolves once all that committed before is received. */
  readonly passBarrier: () => Promise<unknown>;
  /** What comes from now on has what filters need. */
  readonly filtered: (collection: string, columns: readonly string[]) => void;
}

/** LISTENs to the channels that are watched. How long one lingers without subscriptions is the hub's to decide. */
export class ChannelWatcher {
  readonly #options: ChannelWatcherOptions;

  constructor(options: ChannelWatcherOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the channel's changes are captured and LISTENed.
   *
   * @throws {RealtimeError} `collection_not_found`, `collection_not_usable`, `source_unavailable`.
   */
  async watch(key: ChannelKey): Promise<void> {
    const { capturer, watches } = this.#options;
    let watch: Watch | undefined;
    try {
      const table = await capturer.capture(key.collection);
      watch = this.#claim(key, table);
      watch.listening ??= this.#listen(watch);
      await watch.listening;
    } catch (error) {
      // All who waited for this LISTEN fail together, so nobody needs the watch.
      if (watch !== undefined && watches.get(key) === watch) this.#forget(watch);
      throw this.#explain(error);
    }
    // The collection may have been dropped meanwhile, and nobody was told of this watch.
    if (watches.get(key) !== watch) throw justChanged(key.collection);
  }

  /**
   * Resolves once every later change of the collection comes with what filters need.
   *
   * @throws {RealtimeError} `collection_not_found`, `collection_not_usable`, `source_unavailable`, `forbidden`.
   */
  async filter(collection: string, grantedFields: ReadonlySet<string>): Promise<void> {
    const { capturer, grantedColumns, watches } = this.#options;
    try {
      const table = await capturer.captureWithPrior(collection);
      await grantedColumns.require(table, grantedFields);
      const { name, hidden, virtualColumns } = table;
      const columns = [...grantedFields].filter((field) => hidden.has(field));
      const unknown = columns.find((column) => virtualColumns.includes(column));
      if (unknown !== undefined) throw unknownColumn(name, unknown);
      const known = watches.filteredColumns(collection);
      if (known !== undefined && columns.every((column) => known.has(column))) return;
      // What committed before it was captured so is still on its way.
      await this.#options.passBarrier();
      this.#options.filtered(collection, columns);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** Stops listening to a channel; one that is not watched is left alone. */
  unwatch(key: ChannelKey): void {
    const watch = this.#options.watches.get(key);
    if (watch !== undefined) this.#forget(watch);
  }

  /** Stops listening to all channels of a collection. */
  drop(collection: WatchedCollection): void {
    for (const watch of collection.watches) this.#forget(watch);
  }

  async #listen(watch: Watch): Promise<void> {
    await this.#options.listener.listen([watch.notifyChannel]);
    watch.begun = true;
    this.#options.began();
  }

  #claim(key: ChannelKey, table: CapturedTable): Watch {
    const { source, watches, settings } = this.#options;
    const existing = watches.get(key);
    if (existing !== undefined) return existing;
    if (watches.size >= settings.maxListenedChannels) {
      throw new RealtimeError(
        "source_unavailable",
        `The source "${source}" listens to ${String(settings.maxListenedChannels)} channels already: raise maxListenedChannels.`,
        { retryAfterSeconds: 30 },
      );
    }
    return watches.add(key, table);
  }

  #forget(watch: Watch): void {
    const { watches, listener } = this.#options;
    if (!watches.remove(watch)) return;
    listener.unlisten([watch.notifyChannel]).catch((error: unknown) => {
      // Without a connection there is nothing to stop: the channel is not LISTENed again.
      if (!(error instanceof ListenerDownError)) throw error;
    });
  }

  #explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#options.log.warn({ reason: String(error) }, "Cannot watch a channel");
    return cannotBeAsked(this.#options.source, error);
  }
}

function unknownColumn(table: QualifiedName, column: string): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `The column "${column}" of the table ${quoteQualifiedName(table)} cannot be used by filters in notify mode, since a trigger does not see the value of a virtual generated column: make it STORED, or filter by another column.`,
  );
}
