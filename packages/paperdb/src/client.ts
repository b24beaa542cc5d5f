import { Connection } from "./connection.ts";
import { openList } from "./document-list.ts";
import { EventStream } from "./event-stream.ts";
import { postJson } from "./http.ts";
import { PaperDBError } from "./paperdb-error.ts";
import { systemPlatform } from "./platform.ts";
import { resolveSettings } from "./settings.ts";
import type { Target } from "./subscription.ts";
import { mintToken } from "./token-source.ts";
import type {
  AnySchema,
  Client,
  ClientOptions,
  StreamOptions,
  SubscribeOptions,
  Unsubscribe,
} from "./types.ts";

/**
 * Makes a client. Nothing is opened before the first subscription.
 *
 * @typeParam Schema - the type of the documents of each collection, by its name.
 * @throws PaperDBError `invalid_options`, with the option and what it takes.
 */
export function createClient<Schema extends object = AnySchema>(options: ClientOptions): Client<Schema> {
  const settings = resolveSettings(options);
  const connection = new Connection(settings, systemPlatform(settings));
  const { subscriptions, statusListeners } = connection;

  const requireOpen = (): void => {
    if (connection.state === "closed") throw new PaperDBError("closed", "The client was closed.");
  };
  const subscriber =
    (kind: Target["kind"]) =>
    (name: string, listener: (event: never) => unknown, callbacks: SubscribeOptions = {}): Unsubscribe => {
      requireOpen();
      return subscriptions.add({ kind, name }, callbacks, listener).unsubscribe;
    };
  const streamer =
    (kind: Target["kind"]) =>
    <Event>(name: string, streamOptions: SubscribeOptions & StreamOptions = {}): AsyncIterable<Event> => ({
      [Symbol.asyncIterator]() {
        requireOpen();
        return new EventStream(subscriptions, { kind, name }, streamOptions);
      },
    });

  return {
    realtime: {
      get status() {
        return statusListeners.status;
      },
      onStatus: (listener) => statusListeners.add(listener),
      subscribe: subscriber("collection"),
      list(collection, listOptions = {}) {
        requireOpen();
        return openList(subscriptions, collection, listOptions);
      },
      stream: streamer("collection"),
      generateToken: (request) => mintToken(settings, request),
    },
    events: {
      async publish(topic, data, { idempotencyKey, signal } = {}) {
        const { id } = await postJson(settings.fetch, {
          url: `${settings.baseUrl}/v1/events/publish`,
          apiKey: settings.apiKey,
          body: { topic, data },
          idempotencyKey,
          signal,
        });
        return { id: String(id) };
      },
      subscribe: subscriber("topic"),
      stream: streamer("topic"),
    },
    close: () => {
      connection.close();
    },
  };
}
