import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { Catalog } from "./catalog.ts";
import type { Collections } from "./collections.ts";
import type { SourceDatabase } from "./database.ts";
import { isCaptured, isCapturedWithin } from "./installed.ts";
import { TriggerInstaller } from "./installer.ts";
import { justChanged } from "./just-changed.ts";
import type { NotifySettings } from "./settings.ts";
import { isSameHistory } from "./table.ts";
import type { CapturedTable } from "./table.ts";

/** Sees to it that the changes of a collection are captured. Calls for one collection share their work. */
export class Capturer {
  readonly #catalog: Catalog;
  readonly #database: SourceDatabase;
  readonly #settings: NotifySettings;
  readonly #installer: TriggerInstaller;
  /** The tables whose triggers were found or put in place, by collection. */
  readonly #captured = new Map<string, CapturedTable>();
  readonly #capturing = new Map<string, Promise<CapturedTable>>();

  /** @param signal - gives all its work up. */
  constructor(
    catalog: Catalog,
    database: SourceDatabase,
    settings: NotifySettings,
    log: Logger,
    signal: AbortSignal,
  ) {
    this.#catalog = catalog;
    this.#database = database;
    this.#settings = settings;
    this.#installer = new TriggerInstaller(database, settings, log, signal);
  }

  /**
   * Resolves once all changes of a collection are captured.
   *
   * @throws {RealtimeError} `collection_not_found`, `collection_not_usable`, `source_unavailable`.
   */
  async capture(collection: string): Promise<CapturedTable> {
    const captured = this.#captured.get(collection);
    if (captured !== undefined) return captured;
    let capturing = this.#capturing.get(collection);
    if (capturing === undefined) {
      capturing = this.#capture(collection).finally(() => {
        this.#capturing.delete(collection);
      });
      this.#capturing.set(collection, capturing);
    }
    return capturing;
  }

  /**
   * Installs what is missing on a table that was captured before.
   *
   * @returns whether all servers, this one too, are told that its changes were not captured.
   */
  async repair(table: CapturedTable, timeoutMs: number): Promise<boolean> {
    this.forget(table.collection);
    if (isCaptured(table)) return false;
    const { announced } = await this.#installer.install(table, timeoutMs);
    return announced;
  }

  /** The next {@link capture} looks at it again. */
  forget(collection: string): void {
    this.#captured.delete(collection);
  }

  forgetAll(): void {
    this.#captured.clear();
  }

  /** Forgets what is not captured as it was. */
  forgetChanged(collections: Collections): void {
    for (const [collection, captured] of this.#captured) {
      const table = collections.tables.get(collection);
      if (table === undefined || !isCaptured(table) || !isSameHistory(table, captured)) {
        this.#captured.delete(collection);
      }
    }
  }

  /** Resolves when no work is going on any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#capturing.values());
  }

  /** What is asked for may be younger than the last reading. */
  async #capture(collection: string): Promise<CapturedTable> {
    let table = (await this.#catalog.refresh()).tables.get(collection);
    if (table === undefined) {
      throw new RealtimeError("collection_not_found", `There is no collection "${collection}".`);
    }
    if (!isCapturedWithin(table, this.#settings, this.#database.encoding)) {
      await this.#installer.install(table);
      table = (await this.#catalog.refresh()).tables.get(collection);
    }
    if (table === undefined || !isCaptured(table)) throw justChanged(collection);
    this.#captured.set(collection, table);
    return table;
  }
}
