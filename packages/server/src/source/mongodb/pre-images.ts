import { RealtimeError } from "@paperdb/protocol";
import type { Db } from "mongodb";
import type { Logger } from "pino";
import type { MongoCollection } from "./collections.ts";
import { classify, codeOf, reasonOf } from "./errors.ts";

const NAMESPACE_NOT_FOUND = 26;

/** Enables pre- and post-images, once per collection, as far as the server lets it. */
export class PreImages {
  readonly #db: Db;
  readonly #isSupported: boolean;
  readonly #log: Logger;
  /** By the collection's name in the database. */
  readonly #known = new Map<string, { readonly uuid: string | undefined; readonly enabled: boolean }>();

  constructor(db: Db, isSupported: boolean, log: Logger) {
    this.#db = db;
    this.#isSupported = isSupported;
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
    if (known !== undefined && known.uuid === uuid) return known.enabled;
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
      await this.#db.command({ collMod: collection, changeStreamPreAndPostImages: { enabled: true } });
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
}
