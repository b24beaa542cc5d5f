const EVENTS = ["online", "pageshow", "visibilitychange"] as const;

/** Calls back when the network is back or the page may be seen again, where a runtime tells. Returns what ends it. */
export function watchWake(onWake: () => void): (() => void) | undefined {
  if (typeof addEventListener !== "function") return undefined;
  for (const name of EVENTS) addEventListener(name, onWake);
  return () => {
    for (const name of EVENTS) removeEventListener(name, onWake);
  };
}
