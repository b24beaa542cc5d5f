/** The time, and timers on it. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** A number from 0 to below 1. */
  random(): number;
  /** Calls back once; returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** What timers take: a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The runtime's own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMER_MS));
    return () => {
      clearTimeout(timer);
    };
  },
};
