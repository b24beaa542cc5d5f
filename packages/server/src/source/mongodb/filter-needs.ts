import type { Logger } from "pino";
import { reasonOf } from "./errors.ts";

/** What filters need of a collection's changes. Once needed, it stays so. */
export interface FilterNeeds {
  /** Prior documents of updates and replaces. */
  prior: boolean;
  /** The values of hidden fields. */
  hidden: boolean;
}

/** Where names of collections are kept beyond the process. */
export interface NamesStore {
  fetch(): Promise<readonly string[]>;
  keep(names: readonly string[]): Promise<void>;
}

/**
 * What filters need, by the collections' public names. Those whose hidden fields are needed are remembered for the next
 * process: it reads them from its first change on, so that nobody has to be reset for the first grant that asks for them.
 */
export class KnownNeeds {
  readonly #store: NamesStore | undefined;
  readonly #log: Logger;
  readonly #byName = new Map<string, FilterNeeds>();
  #keeping: Promise<void> = Promise.resolve();

  constructor(store: NamesStore | undefined, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Before the first stream is opened. */
  async recall(): Promise<void> {
    try {
      for (const name of (await this.#store?.fetch()) ?? []) this.of(name).hidden = true;
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, "It is not known which hidden fields filters need");
    }
  }

  of(name: string): FilterNeeds {
    let needs = this.#byName.get(name);
    if (needs === undefined) {
      needs = { prior: false, hidden: false };
      this.#byName.set(name, needs);
    }
    return needs;
  }

  /** Remembers the collections whose hidden fields are needed. Resolves once they are kept, as far as that goes. */
  async remember(): Promise<void> {
    const names = [...this.#byName].filter(([, { hidden }]) => hidden).map(([name]) => name);
    this.#keeping = this.#keeping
      .then(() => this.#store?.keep(names))
      .catch((error: unknown) => {
        this.#log.warn({ reason: reasonOf(error) }, "Which hidden fields filters need cannot be kept");
      });
    await this.#keeping;
  }
}

/** The outermost names of hidden paths. */
export function outerNames(paths: Iterable<string>): ReadonlySet<string> {
  return new Set([...paths].map((path) => path.split(".", 1)[0] ?? path));
}
