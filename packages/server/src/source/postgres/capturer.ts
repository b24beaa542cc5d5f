import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { Catalog } from "./catalog.ts";
import type { Collections } from "./collections.ts";
import type { SourceDatabase } from "./database.ts";
import { isCaptured, isCapturedWithin, sendsPrior } from "./installed.ts";
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
  readonly #capturingPrior = new Map<string, Promise<CapturedTable>>();
  /** Collections whose updates are to be sent with the row before, for as long as this server runs. */
  readonly #withPrior = new Set<string>();

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
    return shareWork(this.#capturing, collection, () =>
      this.#capture(collection, this.#withPrior.has(collection)),
    );
  }

  /**
   * As {@link capture}, and every update is sent with the row before it, which stays so.
   *
   * @throws {RealtimeError} as {@link capture}.
   */
  async captureWithPrior(collection: string): Promise<CapturedTable> {
    const captured = this.#captured.get(collection);
    if (captured !== undefined && sendsPrior(captured)) {
      this.#withPrior.add(collection);
      return captured;
    }
    const table = await shareWork(this.#capturingPrior, collection, () => this.#capture(collection, true));
    this.#withPrior.add(collection);
    return table;
  }

  /** Whether the table's changes are captured as they are to be. */
  isCaptured(table: CapturedTable): boolean {
    return isCaptured(table) && (!this.#withPrior.has(table.collection) || sendsPrior(table));
  }

  /**
   * Installs what is missing on a table that was captured before.
   *
   * @returns whether all servers, this one too, are told that its changes were not captured.
   */
  async repair(table: CapturedTable, timeoutMs: number): Promise<boolean> {
    this.forget(table.collection);
    if (this.isCaptured(table)) return false;
    const withPrior = this.#withPrior.has(table.collection);
    const { announced } = await this.#installer.install(table, withPrior, timeoutMs);
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
      if (table === undefined || !this.isCaptured(table) || !isSameHistory(table, captured)) {
        this.#captured.delete(collection);
      }
    }
  }

  /** Resolves when no work is going on any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#capturing.values(), ...this.#capturingPrior.values()]);
  }

  /** What is asked for may be younger than the last reading. */
  async #capture(collection: string, withPrior: boolean): Promise<CapturedTable> {
    const isDone = (found: CapturedTable): boolean => !withPrior || sendsPrior(found);
    let table = (await this.#catalog.refresh()).tables.get(collection);
    if (table === undefined) {
      throw new RealtimeError("collection_not_found", `There is no collection "${collection}".`);
    }
    if (!isCapturedWithin(table, this.#settings, this.#database.encoding) || !isDone(table)) {
      await this.#installer.install(table, withPrior);
      table = (await this.#catalog.refresh()).tables.get(collection);
    }
    if (table === undefined || !isCaptured(table) || !isDone(table)) throw justChanged(collection);
    this.#captured.set(collection, table);
    return table;
  }
}

/** What is under way for a collection serves all who ask meanwhile. */
async function shareWork(
  underWay: Map<string, Promise<CapturedTable>>,
  collection: string,
  begin: () => Promise<CapturedTable>,
): Promise<CapturedTable> {
  let work = underWay.get(collection);
  if (work === undefined) {
    work = begin().finally(() => {
      underWay.delete(collection);
    });
    underWay.set(collection, work);
  }
  return work;
}
