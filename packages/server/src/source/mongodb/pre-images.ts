import { RealtimeError } from "@paperdb/protocol";
import { setTimeout as delay } from "node:timers/promises";
import type { Db } from "mongodb";
import type { Logger } from "pino";
import type { MongoCollection } from "./collections.ts";
import { classify, codeOf, reasonOf } from "./errors.ts";
import type { MongoSettings } from "./settings.ts";

const NAMESPACE_NOT_FOUND = 26;
/** The collection was locked for longer than an attempt may wait. */
const LOCKED: ReadonlySet<number> = new Set([24, 50]);
/** Between two attempts, so that writes which waited behind one get through. */
const PAUSE_MS = 200;

/** How long enabling may take. */
export type PreImagesSettings = Pick<MongoSettings, "imagesLockTimeoutMs" | "watchTimeoutMs">;

/** Enables pre- and post-images, once per collection, as far as the server lets it. */
export class PreImages {
  readonly #db: Db;
  readonly #isSupported: boolean;
  readonly #settings: PreImagesSettings;
  readonly #log: Logger;
  /** By the collection's name in the database. */
  readonly #known = new Map<string, { readonly uuid: string | undefined; readonly enabled: boolean }>();

  constructor(db: Db, isSupported: boolean, settings: PreImagesSettings, log: Logger) {
    this.#db = db;
    this.#isSupported = isSupported;
    this.#settings = settings;
    this.#log = log;
  }

  /**
   * Whether the collection's changes carry images from now on.
   *
   * @throws when the server cannot be asked, or the collection is gone.
   */
  async ensure({ name, collection, uuid, hasImages }: MongoCollection): Promise<boolean> {
    if (!this.#isSupported) return false;
    const known = this.#known.get(collection);
    // Somebody who may has enabled what was refused before.
    const isNews = hasImages && known?.enabled === false;
    if (known !== undefined && known.uuid === uuid && !isNews) return known.enabled;
    const enabled = hasImages || (await this.#enable(name, collection));
    this.#known.set(collection, { uuid, enabled });
    return enabled;
  }

  /** What was known of the collection is not true any more. */
  forget(collection: string): void {
    this.#known.delete(collection);
  }

  async #enable(name: string, collection: string): Promise<boolean> {
    try {
      await this.#modify(collection);
      this.#log.info({ collection: name }, "Enabled pre-images of a collection");
      return true;
    } catch (error) {
      if (codeOf(error) === NAMESPACE_NOT_FOUND) {
        throw new RealtimeError("collection_not_found", `The collection "${name}" was dropped.`, {
          cause: error,
        });
      }
      if (classify(error) === "unreachable") throw error;
      this.#log.warn(
        { collection: name, reason: reasonOf(error) },
        "Pre-images cannot be enabled: deletes of the collection are not delivered",
      );
      return false;
    }
  }

  /** It needs the collection for itself: behind a long transaction it would hold up every write, so it gives up soon. */
  async #modify(collection: string): Promise<void> {
    const { imagesLockTimeoutMs: maxTimeMS, watchTimeoutMs } = this.#settings;
    const deadlineMs = Date.now() + watchTimeoutMs;
    const command = { collMod: collection, changeStreamPreAndPostImages: { enabled: true }, maxTimeMS };
    for (;;) {
      try {
        await this.#db.command(command);
        return;
      } catch (error) {
        if (!LOCKED.has(codeOf(error) ?? Number.NaN) || Date.now() >= deadlineMs) throw error;
      }
      await delay(PAUSE_MS);
    }
  }
}
