import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TokenExpiries, type ExpiringGrant } from "./token-expiries.ts";

const DAY_MS = 86_400_000;

let expiries: TokenExpiries;
let log: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  expiries = new TokenExpiries((error) => log.push(String(error)));
  log = [];
});

afterEach(() => {
  expiries.close();
  vi.useRealTimers();
});

function fail(error: unknown): never {
  throw error;
}

/** Notes its end, by its name. */
function grant(name: string, lifetimeMs: number | undefined): ExpiringGrant {
  return {
    expiresAtMs: lifetimeMs === undefined ? undefined : Date.now() + lifetimeMs,
    expiryIndex: -1,
    expired: () => log.push(name),
  };
}

describe("tokens", () => {
  it("expire in time, each once, whatever the order they came in", () => {
    for (const [name, lifetimeMs] of Object.entries({ c: 3000, a: 1000, b: 2000 })) {
      expiries.add(grant(name, lifetimeMs));
    }
    vi.advanceTimersByTime(999);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(["a"]);
    vi.advanceTimersByTime(DAY_MS);
    expect(log).toEqual(["a", "b", "c"]);
    expect([expiries.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it.each([30 * DAY_MS, 100 * DAY_MS])("of %d ms live longer than a timer", (lifetimeMs) => {
    expiries.add(grant("a", lifetimeMs));
    vi.advanceTimersByTime(lifetimeMs - 1);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(["a"]);
  });

  it("that are over already expire later, not at once", () => {
    expiries.add(grant("a", -5000));
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(["a"]);
  });

  it("that are taken back do not expire; twice does no harm, and a key never does", () => {
    const one = grant("a", 1000);
    expiries.add(one);
    expiries.add(grant("key", undefined));
    expiries.delete(one);
    expiries.delete(one);
    vi.advanceTimersByTime(DAY_MS);
    expect([log, expiries.size, vi.getTimerCount()]).toEqual([[], 0, 0]);
  });

  it("may be replaced while others expire", () => {
    const renewed = grant("renewed", 1000);
    const renewing: ExpiringGrant = {
      ...grant("", 1000),
      expired: () => {
        expiries.delete(renewed);
        Object.assign(renewed, { expiresAtMs: Date.now() + 500 });
        expiries.add(renewed);
      },
    };
    expiries.add(renewing);
    expiries.add(renewed);
    vi.advanceTimersByTime(1499);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(["renewed"]);
  });

  it("end for all, also when one of them fails to", () => {
    const failing = grant("failing", 1000);
    failing.expired = () => fail(new Error("cannot end"));
    for (const each of [grant("a", 1000), failing, grant("b", 1000), grant("c", 2000)]) expiries.add(each);
    vi.advanceTimersByTime(1000);
    expect(log.toSorted()).toEqual(["Error: cannot end", "a", "b"]);
    vi.advanceTimersByTime(1000);
    expect([log.at(-1), expiries.size, vi.getTimerCount()]).toEqual(["c", 0, 0]);
  });

  it("very many of one moment leave room for other work, and all expire", () => {
    const meanwhile: number[] = [];
    for (let index = 0; index < 1000; index += 1) expiries.add(grant(String(index), 1000));
    vi.advanceTimersByTime(1000);
    const later = setInterval(() => meanwhile.push(log.length), 1);
    vi.advanceTimersByTime(20);
    clearInterval(later);
    expect(new Set(log).size).toBe(1000);
    expect(meanwhile[0]).toBeLessThan(1000);
  });

  it("have one timer for all, and none after close", () => {
    for (let index = 0; index < 100; index += 1) expiries.add(grant(String(index), 1000 + index));
    expect(vi.getTimerCount()).toBe(1);
    expiries.close();
    expiries.add(grant("late", 10));
    expect(vi.getTimerCount()).toBe(0);
  });

  it("expire as a list of them would, whatever is added and taken back (property)", () => {
    const step = fc.record({ what: fc.constantFrom("add", "delete", "wait"), number: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
        const own = new TokenExpiries(fail);
        const alive = new Map<string, ExpiringGrant>();
        const ended: string[] = [];
        for (const [index, { what, number }] of steps.entries()) {
          if (what === "wait") vi.advanceTimersByTime(number);
          const oldest = [...alive][number % Math.max(1, alive.size)];
          if (what === "delete" && oldest !== undefined) {
            own.delete(oldest[1]);
            alive.delete(oldest[0]);
          }
          if (what === "add") {
            const name = String(index);
            const added: ExpiringGrant = {
              expiresAtMs: Date.now() + 1 + number,
              expiryIndex: -1,
              expired: () => {
                ended.push(name);
                alive.delete(name);
              },
            };
            alive.set(name, added);
            own.add(added);
          }
          expect(own.size).toBe(alive.size);
          for (const { expiresAtMs = 0 } of alive.values())
            expect(expiresAtMs).toBeGreaterThan(Date.now() - 1);
        }
        vi.advanceTimersByTime(100);
        expect([alive.size, own.size, new Set(ended).size]).toEqual([0, 0, ended.length]);
        own.close();
      }),
      { numRuns: 300 },
    );
  });
});
