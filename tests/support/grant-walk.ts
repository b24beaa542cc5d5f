import { setTimeout as sleep } from "node:timers/promises";
import type { ServerMessage } from "@paperdb/protocol";
import type { SnapshotServer } from "./snapshot-server.ts";
import { SnapshotSubscription } from "./snapshot-subscription.ts";
import { StrictState } from "./snapshots.ts";
import { until } from "./until.ts";
import type { WebSocketClient } from "./websocket-client.ts";

/** A row of {@link SnapshotServer.createTable}. */
interface Row {
  readonly id: number;
  readonly n: number;
  readonly owner: string;
}

interface Wanted {
  readonly where: object | undefined;
  readonly matches: (row: Row) => boolean;
}

interface Subscribed extends Wanted {
  readonly subscription: SnapshotSubscription;
}

/** Whose rows there are. */
export const OWNERS: readonly string[] = ["ada", "bob", "eve"];

const WANTED: readonly Wanted[] = [
  { where: undefined, matches: () => true },
  { where: { n: { $gte: 4 } }, matches: ({ n }) => n >= 4 },
  { where: { owner: { $ne: "eve" } }, matches: ({ owner }) => owner !== "eve" },
  { where: { id: { $lte: 20 } }, matches: ({ id }) => id <= 20 },
  { where: { owner: "ada" }, matches: ({ owner }) => owner === "ada" },
];

const MAX_PAUSE_MS = 30;

/** A client that does what comes into its mind: it subscribes, unsubscribes, resumes, and gets other grants. */
export class GrantWalk {
  readonly #world: SnapshotServer;
  readonly #table: string;
  readonly #client: WebSocketClient;
  readonly #random: () => number;
  readonly #subscribed = new Map<string, Subscribed>();
  /** Whose rows each grant shows, of all that were sent. */
  readonly #grants: (readonly string[])[] = [OWNERS];
  /** The last one that the server is known to have. */
  #confirmed = 0;
  #subscriptions = 0;
  /** What came that no grant of then shows. */
  readonly violations: string[] = [];

  constructor(world: SnapshotServer, table: string, client: WebSocketClient, random: () => number) {
    this.#world = world;
    this.#table = table;
    this.#client = client;
    this.#random = random;
    client.socket.on("message", (data: Buffer) => this.#check(JSON.parse(data.toString()) as ServerMessage));
  }

  async step(): Promise<void> {
    const choice = this.#random();
    if (choice < 0.3) this.#subscribe();
    else if (choice < 0.4) this.#unsubscribe();
    else if (choice < 0.5) this.#resubscribe();
    else if (choice < 0.75) await this.#renew();
    else if (choice < 0.85) await this.#pause();
    else if (choice < 0.95) await this.#settle();
    else await sleep(this.#random() * MAX_PAUSE_MS);
    // What is strict throws as soon as something is missing.
    for (const { subscription } of this.#subscribed.values()) void subscription.steps;
  }

  /** Waits until each subscription holds what there is for it. */
  async finish(rows: readonly Row[]): Promise<void> {
    await this.#settle();
    const granted = this.#grants.at(-1) ?? [];
    for (const { subscription, where, matches } of this.#subscribed.values()) {
      const expected = rows.filter((row) => granted.includes(row.owner) && matches(row)).map(textOf);
      const held = (): string[] =>
        [...subscription.documents.values()].map((row) => textOf(row as unknown as Row));
      await until(() => held().toSorted().join() === expected.toSorted().join(), {
        describe: () =>
          `${expected.join()} of ${JSON.stringify(where)}, got ${held().join()} by ${subscription.phases.join()}`,
      });
    }
  }

  /** Why subscriptions were reset. */
  get resets(): readonly string[] {
    return this.#client.ofType("reset").map(({ reason }) => reason);
  }

  #subscribe(): void {
    const taken = new Set([...this.#subscribed.values()].map(({ where }) => where));
    const wanted = this.#one(WANTED.filter(({ where }) => !taken.has(where)));
    if (wanted !== undefined) this.#begin(wanted);
  }

  #unsubscribe(): void {
    const id = this.#one([...this.#subscribed.keys()]);
    if (id === undefined) return;
    this.#subscribed.delete(id);
    this.#client.send({ type: "unsubscribe", id });
  }

  /** Goes on from where a subscription of the same grant stands. */
  #resubscribe(): void {
    const id = this.#one([...this.#subscribed.keys()]);
    const before = id === undefined ? undefined : this.#subscribed.get(id);
    if (id === undefined || before === undefined || !before.subscription.isLive) return;
    if (this.#confirmed !== this.#grants.length - 1) return;
    const { cursor, state } = before.subscription;
    this.#subscribed.delete(id);
    this.#client.send({ type: "unsubscribe", id });
    this.#begin(before, { cursor }, state);
  }

  #begin({ where, matches }: Wanted, more: object = {}, state?: StrictState): void {
    this.#subscriptions += 1;
    const id = `s${String(this.#subscriptions)}`;
    const states = state === undefined ? [] : [state];
    const subscription = new SnapshotSubscription(
      this.#client,
      id,
      this.#table,
      { ...(where === undefined ? {} : { where }), ...more },
      () => states.pop() ?? new StrictState(),
    );
    this.#subscribed.set(id, { subscription, where, matches });
  }

  /** The answer to the subscription behind it tells that the grant counts. */
  async #renew(): Promise<void> {
    const owners = OWNERS.filter(() => this.#random() < 0.6);
    const number = this.#grants.length;
    const filter = { owner: { $in: owners.length === 0 ? ["nobody"] : owners }, id: { $ne: -number } };
    const token = await this.#world.mint([this.#table], filter);
    this.#grants.push(owners);
    this.#client.send({ type: "auth", token });
    this.#client.send({ type: "subscribe", id: `grant ${String(number)}`, topic: `grant.${String(number)}` });
  }

  async #pause(): Promise<void> {
    this.#client.socket.pause();
    await sleep(this.#random() * MAX_PAUSE_MS * 2);
    this.#client.socket.resume();
  }

  /** Waits until the last grant counts, and every subscription is live. */
  async #settle(): Promise<void> {
    await until(() => this.#confirmed === this.#grants.length - 1, {
      describe: () => `grant ${String(this.#grants.length - 1)}, got ${String(this.#confirmed)}`,
    });
    for (const { subscription } of this.#subscribed.values()) {
      await subscription.waitFor(() => subscription.isLive, "ready");
    }
  }

  #check(message: ServerMessage): void {
    if (message.type === "ready" && message.id.startsWith("grant ")) {
      this.#confirmed = Number(message.id.slice("grant ".length));
      this.#client.send({ type: "unsubscribe", id: message.id });
    }
    const granted = new Set(this.#grants.slice(this.#confirmed).flat());
    const documents =
      message.type === "snapshot"
        ? message.documents
        : message.type === "event" && "data" in message.event
          ? [message.event.data]
          : [];
    for (const document of documents as readonly Row[]) {
      if (!granted.has(document.owner))
        this.violations.push(`${textOf(document)} under ${[...granted].join()}`);
    }
  }

  #one<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#random() * all.length)];
  }
}

function textOf({ id, n, owner }: Row): string {
  return `${String(id)}:${String(n)}:${owner}`;
}
