import fc from "fast-check";
import { expect, it } from "vitest";
import {
  EventSubscriber,
  ListSubscriber,
  type FakeSubscriber,
} from "../../../tests/support/sdk-subscribers.ts";
import { SdkWorld } from "../../../tests/support/sdk-world.ts";
import { HOLDERS, type ConnectionState } from "./connection-table.ts";
import { Connection } from "./connection.ts";
import { resolveSettings } from "./settings.ts";

const COLLECTIONS = ["a", "b"];
const KINDS = ["plain", "snapshot", "list"] as const;
/** Few, so that they are changed often; undefined: a new one. */
const DOCUMENT_IDS = ["1", "2", "3", undefined];
const CLOSE_CODES = [1000, 1001, 1006, 1009, 1012, 1013, 4001, 4003, 4008, 4100, 4101, 4102, 4104];

type SubscriberKind = (typeof KINDS)[number];

/** The connection in its world, and what the application holds. */
class Real {
  readonly world = new SdkWorld();
  readonly connection = new Connection(
    resolveSettings({ baseUrl: "http://test", getToken: () => "not used" }),
    this.world.platform,
  );
  readonly subscribers: FakeSubscriber[] = [];

  get active(): FakeSubscriber[] {
    return this.subscribers.filter(({ isEnded }) => !isEnded);
  }

  subscribe(name: string, kind: SubscriberKind): void {
    const { database } = this.world;
    const { subscriptions } = this.connection;
    this.subscribers.push(
      kind === "list"
        ? new ListSubscriber(database, subscriptions, name)
        : new EventSubscriber(database, subscriptions, name, kind === "snapshot"),
    );
  }

  unsubscribe(index: number): void {
    const { active } = this;
    const subscriber = active[index % active.length];
    if (subscriber === undefined) return;
    subscriber.unsubscribe();
    subscriber.isEnded = true;
  }
}

/** The simple model: which errors are final, and for how long. */
interface Model {
  isClosed: boolean;
  hasFailed: boolean;
}

const WITHOUT_SUBSCRIBERS: ReadonlySet<ConnectionState> = new Set(["idle", "lingering", "failed", "closed"]);
const WITH_TIMER: ReadonlySet<ConnectionState> = new Set(["connecting", "open", "lingering", "waiting"]);

function expectInvariants(model: Model, { world, connection, active, subscribers }: Real): void {
  const { state } = connection;
  expect(world.sockets.length).toBe(HOLDERS.socket.includes(state) ? 1 : 0);
  expect(world.tokens.length).toBeLessThanOrEqual(HOLDERS.tokenRequest.includes(state) ? 1 : 0);
  expect(world.wakeListeners.size).toBe(HOLDERS.wakeWatch.includes(state) ? 1 : 0);
  // A request for a token has one of its own.
  expect(world.timers.size).toBe((WITH_TIMER.has(state) ? 1 : 0) + world.tokens.length);
  expect(WITHOUT_SUBSCRIBERS.has(state)).toBe(active.length === 0);
  expect(state === "closed").toBe(model.isClosed);
  if (model.hasFailed && !model.isClosed) expect(state).toBe("failed");
  for (const { faults } of subscribers) expect(faults).toEqual([]);
}

/** Something that happens. It is only tried where it can happen. */
class Happening implements fc.AsyncCommand<Model, Real> {
  readonly #name: string;
  readonly #canRun: (real: Real) => boolean;
  readonly #run: (real: Real, model: Model) => unknown;

  constructor(name: string, canRun: (real: Real) => boolean, run: (real: Real, model: Model) => unknown) {
    this.#name = name;
    this.#canRun = canRun;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    if (!this.#canRun(real)) return;
    await this.#run(real, model);
    await real.world.settle();
    expectInvariants(model, real);
    model.hasFailed = real.connection.state === "failed";
  }

  toString(): string {
    return this.#name;
  }
}

/** All goes well for a while: deep states are not left to chance. */
async function goLive({ world }: Real): Promise<void> {
  for (let step = 0; step < 4; step += 1) {
    if (world.tokens.length > 0) world.answerToken();
    else if (world.socket?.isOpen === false) world.socket.open();
    else world.socket?.deliver();
    await world.settle();
  }
}

const always = (): boolean => true;
const tokenAsked = ({ world }: Real): boolean => world.tokens.length > 0;
const socketOpen = ({ world }: Real): boolean => world.socket?.isOpen === true;
const subscribed = ({ world }: Real): boolean => (world.socket?.subscriptions.length ?? 0) > 0;

const subscribing = fc.tuple(fc.constantFrom(...COLLECTIONS), fc.constantFrom(...KINDS)).map(
  ([name, kind]) =>
    new Happening(
      `subscribe(${name}, ${kind})`,
      ({ connection }) => connection.state !== "closed",
      (real, model) => {
        model.hasFailed = false;
        real.subscribe(name, kind);
      },
    ),
);

const publishing = fc
  .tuple(fc.constantFrom(...COLLECTIONS), fc.constantFrom(...DOCUMENT_IDS))
  .map(
    ([name, id]) => new Happening(`publish(${name}, ${id})`, always, ({ world }) => world.publish(name, id)),
  );

const happenings: fc.Arbitrary<Happening>[] = [
  subscribing,
  subscribing,
  fc.nat(9).map((index) => new Happening(`unsubscribe(${index})`, always, (real) => real.unsubscribe(index))),
  fc.constantFrom(...KINDS).map(
    (kind) =>
      new Happening(
        `resubscribeInOneTurn(${kind})`,
        ({ active }) => active.length > 0,
        (real) => {
          real.unsubscribe(0);
          real.subscribe("a", kind);
        },
      ),
  ),
  fc.constant(new Happening("goLive", always, goLive)),
  fc.constant(new Happening("goLive", always, goLive)),
  fc.constant(new Happening("token", tokenAsked, ({ world }) => world.answerToken())),
  fc
    .boolean()
    .map(
      (retryable) =>
        new Happening(`tokenFails(${retryable})`, tokenAsked, ({ world }) => world.failToken(retryable)),
    ),
  fc.constant(
    new Happening(
      "opens",
      ({ world }) => world.socket?.isOpen === false,
      ({ world }) => world.socket?.open(),
    ),
  ),
  fc.constantFrom(...CLOSE_CODES).map(
    (code) =>
      new Happening(
        `closes(${code})`,
        ({ world }) => world.sockets.length > 0,
        ({ world }) => world.socket?.closeByServer(code),
      ),
  ),
  fc.constant(
    new Happening(
      "timer",
      ({ world }) => world.timers.size > 0,
      ({ world }) => world.fireTimer(),
    ),
  ),
  fc.constant(new Happening("wake", always, ({ world }) => world.wake())),
  fc.integer({ min: 1, max: 60_000 }).map(
    (ms) =>
      new Happening(`sleep(${ms})`, always, ({ world }) => {
        world.nowMs += ms;
      }),
  ),
  publishing,
  publishing,
  fc.constant(
    new Happening("epoch", always, ({ world }) => {
      // Only a server that starts anew begins another one.
      world.socket?.closeByServer(1006);
      world.database.epoch += 1;
    }),
  ),
  fc
    .integer({ min: 1, max: 5 })
    .map(
      (count) => new Happening(`deliver(${count})`, socketOpen, ({ world }) => world.socket?.deliver(count)),
    ),
  fc.constant(new Happening("deliverAll", socketOpen, ({ world }) => world.socket?.deliver())),
  fc.constant(new Happening("deliverAll", socketOpen, ({ world }) => world.socket?.deliver())),
  fc.constant(new Happening("heartbeat", socketOpen, ({ world }) => world.socket?.heartbeat())),
  fc.constantFrom("forbidden" as const, "source_unavailable" as const, "collection_not_found" as const).map(
    (code) =>
      new Happening(`refuse(${code})`, subscribed, ({ world }) => {
        const [[id] = [""]] = world.socket?.subscriptions ?? [];
        world.socket?.refuse(id, code);
      }),
  ),
  fc.constant(
    new Happening("reset", subscribed, ({ world }) => {
      const [[id] = [""]] = world.socket?.subscriptions ?? [];
      world.socket?.reset(id);
    }),
  ),
];

const stop = fc.constant(
  new Happening("close", always, (real, model) => {
    real.connection.close();
    model.isClosed = true;
  }),
);

/** Once nothing goes wrong any more, all are live after a while, and have all that there is. */
async function expectCompleteAtLast(real: Real): Promise<void> {
  const { world } = real;
  const areComplete = (): boolean => real.active.every(({ isComplete }) => isComplete);
  for (let round = 0; round < 20 && !areComplete(); round += 1) {
    await goLive(real);
    if (!areComplete() && world.timers.size > 0) world.fireTimer();
    await world.settle();
  }
  expect(real.active.map(({ isComplete }) => isComplete)).toEqual(real.active.map(() => true));
  for (const { faults } of real.subscribers) expect(faults).toEqual([]);
}

/** Ends all subscriptions, and lets what is left of the connection end. */
async function expectIdleAtLast({ world, connection, subscribers }: Real): Promise<void> {
  if (connection.state === "closed" || connection.state === "failed") return;
  for (const { unsubscribe } of subscribers) unsubscribe();
  await world.settle();
  for (let timers = 0; world.timers.size > 0 && timers < 3; timers += 1) {
    world.fireTimer();
    await world.settle();
  }
  expect(connection.state).toBe("idle");
}

it("holds what it may hold, and loses and repeats nothing, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands(
        [...happenings, fc.oneof({ weight: 20, arbitrary: subscribing }, { weight: 1, arbitrary: stop })],
        {
          maxCommands: 80,
          size: "max",
        },
      ),
      async (commands) => {
        const real = new Real();
        await fc.asyncModelRun(() => ({ model: { isClosed: false, hasFailed: false }, real }), commands);
        await expectCompleteAtLast(real);
        await expectIdleAtLast(real);
      },
    ),
    { numRuns: 400 },
  );
});
