import type { ChannelKey } from "../../source/change-source.ts";
import type { ChannelEvents } from "./channel-events.ts";

/** The open channels of one source. Keys are looked up by their parts, so that nothing is made for it. */
export class OpenChannels {
  readonly #collections = new Map<string, Map<string, ChannelEvents>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ collection, tenant }: ChannelKey): ChannelEvents | undefined {
    return this.#collections.get(collection)?.get(tenant);
  }

  /** The channel must not be there. */
  add(channel: ChannelEvents): void {
    const { collection, tenant } = channel.key;
    const tenants = this.#collections.get(collection);
    if (tenants?.has(tenant) === true) throw new Error("the channel is open already");
    if (tenants === undefined) this.#collections.set(collection, new Map([[tenant, channel]]));
    else tenants.set(tenant, channel);
    this.#size += 1;
  }

  delete({ collection, tenant }: ChannelKey): void {
    const tenants = this.#collections.get(collection);
    if (tenants?.delete(tenant) !== true) return;
    this.#size -= 1;
    if (tenants.size === 0) this.#collections.delete(collection);
  }

  of(collection: string): readonly ChannelEvents[] {
    return [...(this.#collections.get(collection)?.values() ?? [])];
  }

  all(): readonly ChannelEvents[] {
    return [...this.#collections.keys()].flatMap((collection) => this.of(collection));
  }
}
