import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../change-source.ts";

/** A tenant that waits for the stream to be opened with it. */
export interface Join {
  readonly key: ChannelKey;
  readonly joined: Promise<Position>;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: unknown) => void;
}

/** Who waits for the next opening of a collection's stream. */
export class Joins {
  readonly #byTenant = new Map<string, Join>();
  #restarts: Join[] = [];

  /** Tenants that wait to be in the stream. */
  get size(): number {
    return this.#byTenant.size;
  }

  /** Resolves once the stream is open with the tenant, with the position since which nothing is missed. */
  add(key: ChannelKey): Promise<Position> {
    let join = this.#byTenant.get(key.tenant);
    if (join === undefined) {
      join = createJoin(key);
      this.#byTenant.set(key.tenant, join);
    }
    return join.joined;
  }

  /** Resolves once all have been reset. */
  addRestart(collection: string): Promise<Position> {
    const restart = createJoin({ tenant: "", collection });
    this.#restarts.push(restart);
    return restart.joined;
  }

  /** The tenants that wait, which are the caller's to settle. */
  take(): readonly Join[] {
    const joins = [...this.#byTenant.values()];
    this.#byTenant.clear();
    return joins;
  }

  /** Who waits for the reset, which are the caller's to settle. */
  takeRestarts(): readonly Join[] {
    const restarts = this.#restarts;
    this.#restarts = [];
    return restarts;
  }

  /** There is no next opening. */
  reject(reason: unknown): void {
    for (const join of [...this.take(), ...this.takeRestarts()]) join.reject(reason);
  }
}

function createJoin(key: ChannelKey): Join {
  let settle: Pick<Join, "resolve" | "reject"> | undefined;
  const joined = new Promise<Position>((resolve, reject) => {
    settle = { resolve, reject };
  });
  if (settle === undefined) throw new Error("A promise did not start.");
  // Whoever waits sees the rejection; nobody may be waiting any more.
  joined.catch(ignoreRejection);
  return { key, joined, ...settle };
}

function ignoreRejection(): void {
  // Nothing to do here.
}
