import type { PaperDBError } from "./paperdb-error.ts";
import type { Platform } from "./platform.ts";
import type { Target } from "./subscription.ts";
import type { FetchedToken } from "./token-source.ts";
import { Token } from "./token.ts";

/** What becomes of a request for a token. */
export interface TokenObserver {
  /** @param isGranted - whether there is a token for what was not refused. */
  onFetched(refused: FetchedToken["refused"], isGranted: boolean): void;
  onFailed(error: PaperDBError): void;
}

/** The current token, and the one request for the next. */
export class TokenKeeper {
  /** What to show to the server. */
  token: Token | undefined;
  readonly #platform: Platform;
  readonly #observer: TokenObserver;
  #request: AbortController | undefined;

  constructor(platform: Platform, observer: TokenObserver) {
    this.#platform = platform;
    this.#observer = observer;
  }

  /** Fetches another one, unless one is being fetched. */
  fetch(targets: readonly Target[]): void {
    if (this.#request !== undefined) return;
    const request = new AbortController();
    this.#request = request;
    const unlessAborted =
      <Result>(then: (result: Result) => void) =>
      (result: Result): void => {
        if (request !== this.#request) return;
        this.#request = undefined;
        then(result);
      };
    this.#platform.fetchToken(targets, request.signal).then(
      unlessAborted(({ text, refused }) => {
        if (text !== undefined) this.token = new Token(text, targets, this.#platform.now());
        this.#observer.onFetched(refused, text !== undefined);
      }),
      unlessAborted((error: PaperDBError) => {
        this.#observer.onFailed(error);
      }),
    );
  }

  abort(): void {
    this.#request?.abort();
    this.#request = undefined;
  }
}
