import {
  SoakClient,
  type Farewell,
  type SoakKind,
  type SoakListener,
  type SoakTarget,
} from "./soak-client.ts";

/** What has happened since the beginning. */
export interface SoakCounts {
  readonly deliveries: number;
  readonly opened: number;
  /** By the client's side, half of them without a goodbye. */
  readonly left: number;
}

/** Of every so many connections that come, one is slow. */
const SLOW_EVERY = 20;
/** Batches that slow ones sleep, in turns: too short for being closed, and long enough. */
const SLEEPS = [10, 500];
const DELIVER_WITHIN_MS = 60_000;

/** Clients of several transports, always as many, never the same ones for long. */
export class SoakCrowd implements SoakListener {
  readonly #targets: readonly SoakTarget[];
  readonly #size: number;
  readonly #clients: SoakClient[] = [];
  readonly #sleepers: { readonly client: SoakClient; readonly wakeAt: number }[] = [];
  #counts = { deliveries: 0, opened: 0, left: 0 };
  #slow = 0;
  #batch = 0;
  #awaited = { sequence: 0, behind: new Set<SoakClient>(), settle: (): void => undefined };
  #failure: Error | undefined;
  #onFull: () => void = () => undefined;

  constructor(targets: readonly SoakTarget[], size: number) {
    this.#targets = targets;
    this.#size = size;
  }

  get counts(): SoakCounts {
    return this.#counts;
  }

  /** Resolves once there are as many as there should be, and all are live. */
  async fill(): Promise<void> {
    while (this.#clients.length < this.#size) this.#open();
    while (!this.#clients.every(({ isLive }) => isLive)) {
      this.#throwFailure();
      await new Promise<void>((resolve) => {
        this.#onFull = resolve;
      });
    }
    this.#throwFailure();
  }

  /** So many of those that read and have been there for longest go, and as many others come; some wake. */
  replace(count: number): void {
    this.#batch += 1;
    const awake = this.#clients.filter(({ isLive, isAsleep }) => isLive && !isAsleep);
    for (const client of awake.slice(0, count)) {
      const farewell: Farewell = this.#counts.left % 2 === 0 ? "end" : "reset";
      this.#remove(client);
      client.leave(farewell);
      this.#counts.left += 1;
    }
    this.#wakeSleepers();
    while (this.#clients.length < this.#size) this.#open();
  }

  /** Those that are live now and read must get this event. */
  expect(sequence: number): void {
    const behind = this.#clients.filter(({ isLive, kind }) => isLive && kind === "steady");
    this.#awaited = { sequence, behind: new Set(behind), settle: () => undefined };
  }

  /** Resolves once all of them have it, or have gone. */
  async untilDelivered(): Promise<void> {
    if (this.#awaited.behind.size > 0 && this.#failure === undefined) {
      let deadline: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#awaited.settle = resolve;
        deadline = setTimeout(
          () => this.#fail("An event did not reach all clients in time."),
          DELIVER_WITHIN_MS,
        );
      });
      clearTimeout(deadline);
    }
    this.#throwFailure();
  }

  close(): void {
    for (const client of this.#clients) client.leave("reset");
    this.#clients.length = 0;
  }

  live(): void {
    this.#onFull();
  }

  delivered(client: SoakClient, sequence: number): void {
    this.#counts.deliveries += 1;
    if (sequence === this.#awaited.sequence) this.#caughtUp(client);
  }

  gone(client: SoakClient, reason: string): void {
    this.#remove(client);
    if (client.kind === "slow" && client.isLive) {
      this.#open();
      return;
    }
    this.#fail(`A client that reads lost its connection: ${reason}.`);
  }

  #open(): void {
    const { opened } = this.#counts;
    const target = this.#targets[opened % this.#targets.length];
    if (target === undefined) throw new Error("There is nothing to connect to.");
    // The quotient, so that each transport has its share.
    const turn = Math.floor(opened / this.#targets.length);
    const kind: SoakKind = turn % SLOW_EVERY === SLOW_EVERY - 1 ? "slow" : "steady";
    const client = new SoakClient(target, kind, this);
    this.#counts.opened += 1;
    this.#clients.push(client);
    if (kind === "steady") return;
    this.#slow += 1;
    const sleep = SLEEPS[Math.floor(this.#slow / this.#targets.length) % SLEEPS.length] ?? 0;
    this.#sleepers.push({ client, wakeAt: this.#batch + sleep });
  }

  #wakeSleepers(): void {
    for (const sleeper of this.#sleepers.filter(
      ({ client, wakeAt }) => client.isLive && wakeAt <= this.#batch,
    )) {
      this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
      // Behind all others, so that it is here for as long as a new one.
      this.#clients.splice(this.#clients.indexOf(sleeper.client), 1);
      this.#clients.push(sleeper.client);
      sleeper.client.wake();
    }
  }

  #remove(client: SoakClient): void {
    const index = this.#clients.indexOf(client);
    if (index !== -1) this.#clients.splice(index, 1);
    this.#caughtUp(client);
  }

  #caughtUp(client: SoakClient): void {
    if (this.#awaited.behind.delete(client) && this.#awaited.behind.size === 0) this.#awaited.settle();
  }

  #fail(reason: string): void {
    this.#failure ??= new Error(reason);
    this.#awaited.settle();
    this.#onFull();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
