/**
 * The package `ws`, on runtimes without a WebSocket of their own. Its name is
 * put together so that bundlers do not look for it: browsers do not need it.
 */
export function importWs(): Promise<{ readonly WebSocket: unknown }> {
  const name: string = ["w", "s"].join("");
  return import(/* webpackIgnore: true */ /* @vite-ignore */ name);
}
