/**
 * The package `ws`, on runtimes without a WebSocket of their own. Its name is
 * put together so that bundlers do not look for it: browsers do not need it.
 */
export async function importWs<WebSocket>(): Promise<WebSocket> {
  const name: string = ["w", "s"].join("");
  const ws: { readonly WebSocket: WebSocket } = await import(
    /* webpackIgnore: true */ /* @vite-ignore */ name
  );
  return ws.WebSocket;
}
