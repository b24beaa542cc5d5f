import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LifeSigns, Liveness, type LivePeer } from "./liveness.ts";

class TestPeer implements LivePeer {
  readonly life: LifeSigns = new LifeSigns();
  signsOfLife = 0;
  beats = 0;
  cuts = 0;
  isHeldBack = false;
  readonly #answers: boolean;

  constructor(answers: boolean) {
    this.#answers = answers;
  }

  beat(): void {
    this.beats += 1;
    if (this.#answers) this.signsOfLife += 1;
  }

  cut(): void {
    this.cuts += 1;
  }
}

let liveness: Liveness;

beforeEach(() => {
  vi.useFakeTimers();
  liveness = new Liveness({ heartbeatIntervalMs: 15_000, peerTimeoutMs: 45_000 });
});

afterEach(() => {
  liveness.close();
  vi.useRealTimers();
});

describe("a peer", () => {
  it("that answers is asked at each interval, and never cut", () => {
    const peer = new TestPeer(true);
    liveness.add(peer);
    vi.advanceTimersByTime(150_000);
    expect(peer.beats).toBe(10);
    expect(peer.cuts).toBe(0);
  });

  it("that is silent is cut once the time is up, not before", () => {
    const peer = new TestPeer(false);
    liveness.add(peer);
    vi.advanceTimersByTime(44_999);
    expect(peer.cuts).toBe(0);
    vi.advanceTimersByTime(15_001);
    expect(peer.cuts).toBeGreaterThan(0);
  });

  it("that gives a sign starts anew", () => {
    const peer = new TestPeer(false);
    liveness.add(peer);
    vi.advanceTimersByTime(40_000);
    peer.signsOfLife += 1;
    vi.advanceTimersByTime(40_000);
    expect(peer.cuts).toBe(0);
  });

  it("that is held back may be silent meanwhile", () => {
    const peer = new TestPeer(false);
    liveness.add(peer);
    peer.isHeldBack = true;
    vi.advanceTimersByTime(150_000);
    expect(peer.cuts).toBe(0);
    peer.isHeldBack = false;
    vi.advanceTimersByTime(60_000);
    expect(peer.cuts).toBeGreaterThan(0);
  });

  it("that is gone is not asked", () => {
    const peer = new TestPeer(false);
    liveness.add(peer);
    liveness.delete(peer);
    liveness.delete(peer);
    vi.advanceTimersByTime(60_000);
    expect(peer.beats).toBe(0);
  });

  it("is asked more than once before it is cut, however short the time", () => {
    liveness.close();
    liveness = new Liveness({ heartbeatIntervalMs: 15_000, peerTimeoutMs: 100 });
    const peer = new TestPeer(false);
    liveness.add(peer);
    vi.advanceTimersByTime(37_500);
    expect(peer).toMatchObject({ beats: 2, cuts: 0 });
    vi.advanceTimersByTime(22_500);
    expect(peer.cuts).toBe(1);
  });
});

it("a crowd that came at once is not asked at once", () => {
  const peers = Array.from({ length: 300 }, () => new TestPeer(true));
  for (const peer of peers) liveness.add(peer);
  const beats = (): number => peers.reduce((sum, peer) => sum + peer.beats, 0);
  let most = 0;
  for (let step = 0; step < 60; step += 1) {
    const before = beats();
    vi.advanceTimersByTime(250);
    most = Math.max(most, beats() - before);
  }
  expect(beats()).toBe(300);
  expect(most).toBe(10);
});

it("one timer serves all, and is gone after close", () => {
  for (let index = 0; index < 100; index += 1) liveness.add(new TestPeer(true));
  expect(vi.getTimerCount()).toBe(1);
  liveness.close();
  expect(vi.getTimerCount()).toBe(0);
});
