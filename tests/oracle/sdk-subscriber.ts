import { createClient, type Client, type SubscriptionCallbacks } from "paperdb";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { Receiver } from "./receiver.ts";
import type { Access, Subscriber, SubscriberTools } from "./subscriber.ts";

const BACKOFF = { minMs: 10, maxMs: 300 };

/** A client of the SDK behind a network of its own, which can be cut. */
export async function connectSdk(
  access: Access,
): Promise<{ readonly client: Client; readonly proxy: TcpProxy }> {
  const proxy = await startProxy(access.url);
  const client = createClient({ ...access.sdkCredential(), baseUrl: proxy.url, backoff: BACKOFF });
  return { client, proxy };
}

/** Subscribes by the SDK's `subscribe`. */
export class SdkSubscriber extends Receiver implements Subscriber {
  readonly #client: Client;
  readonly #proxy: TcpProxy;

  private constructor(tools: SubscriberTools, { client, proxy }: Awaited<ReturnType<typeof connectSdk>>) {
    super(tools);
    this.#client = client;
    this.#proxy = proxy;
    client.realtime.onStatus((status, error) => {
      this.observations.add({ kind: "note", text: `${status} ${error?.message ?? ""}` });
    });
    this.#subscribe();
  }

  static async start(tools: SubscriberTools): Promise<SdkSubscriber> {
    return new SdkSubscriber(tools, await connectSdk(tools.access));
  }

  async leave(): Promise<void> {
    await this.#proxy.cut();
  }

  async comeBack(): Promise<void> {
    await this.#proxy.mend();
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.#proxy.close();
  }

  #subscribe(): void {
    const { collection, where, snapshot } = this.plan;
    let isLive = false;
    // Documents come as inserts, before the status is live, or after a reset: a stretch begins before them.
    if (snapshot) this.ready(false);
    const callbacks: SubscriptionCallbacks = {
      onStatus: (status) => {
        this.observations.add({ kind: "note", text: `subscription ${status}` });
        if (status === "live" && !isLive && !snapshot) this.ready(false);
        if (status === "live") isLive = true;
        if (status === "ended") this.violations.push("the subscription has ended");
      },
      onReset: ({ reason }) => {
        // It was told so before its documents had come again.
        if (snapshot && this.observations.current?.events.length === 0) return;
        this.reset(reason);
        this.ready(false);
      },
      onError: (error) => this.violations.push(`${error.code}: ${error.message}`),
    };
    if (collection === undefined) {
      this.#client.events.subscribe(
        "oracle.>",
        ({ topic, data }) => this.event({ topic, data: data as { mark: number } }),
        callbacks,
      );
      return;
    }
    this.#client.realtime.subscribe(
      collection,
      ({ type, documentId, data }) => this.event({ type, documentId, document: data }),
      { ...callbacks, where, snapshot },
    );
  }
}
