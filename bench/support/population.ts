import type { Exchange } from "./fan-out-server.ts";
import { subscribeFrame, webSocketRequest } from "./our-requests.ts";
import { fetchToken } from "./realtime-token.ts";
import type { ServerProcess } from "./server-process.ts";
import { createTenant } from "./tenant.ts";

/** Tables with a tenant column, each a collection. */
export const COLLECTIONS: readonly string[] = Array.from({ length: 20 }, (_, index) => `c${index}`);

const TENANTS_AT_ONCE = 20;

/** Makes the tables of {@link COLLECTIONS}. */
export const COLLECTIONS_SQL: string = COLLECTIONS.map(
  (name) =>
    `create table ${name} (id bigint generated always as identity primary key, tenant_id text not null, title text not null);`,
).join("\n");

/** Many tenants with WebSockets: some of one subscription, as many of nearly all collections. */
export interface Population {
  /** What each connection with one subscription says. */
  readonly light: readonly (readonly Exchange[])[];
  /** What each connection with {@link COLLECTIONS} but one says. */
  readonly heavy: readonly (readonly Exchange[])[];
  readonly subscriptions: number;
  readonly channels: number;
}

/** @param connectionsPerTenant - of each of the two kinds. */
export async function createPopulation(
  server: ServerProcess,
  { tenants, connectionsPerTenant }: { readonly tenants: number; readonly connectionsPerTenant: number },
): Promise<Population> {
  const light: (readonly Exchange[])[] = [];
  const heavy: (readonly Exchange[])[] = [];
  for (let first = 0; first < tenants; first += TENANTS_AT_ONCE) {
    const count = Math.min(TENANTS_AT_ONCE, tenants - first);
    const tokens = await Promise.all(
      Array.from({ length: count }, (_, index) => tokenOf(server, first + index)),
    );
    for (const token of tokens) {
      for (let connection = 0; connection < connectionsPerTenant; connection += 1) {
        const single = COLLECTIONS[connection % COLLECTIONS.length] ?? "";
        light.push(greetingOf(token, [single]));
        heavy.push(
          greetingOf(
            token,
            COLLECTIONS.filter((name) => name !== single),
          ),
        );
      }
    }
  }
  const subscriptions = tenants * connectionsPerTenant * COLLECTIONS.length;
  return { light, heavy, subscriptions, channels: tenants * COLLECTIONS.length };
}

async function tokenOf(server: ServerProcess, index: number): Promise<string> {
  const tenant = await createTenant(server, `tenant${index}`);
  return fetchToken(server, tenant, { collections: COLLECTIONS });
}

function greetingOf(token: string, collections: readonly string[]): readonly Exchange[] {
  const upgrade = { send: webSocketRequest(token), until: "\r\n\r\n" };
  const subscribing = collections.map((collection) => ({
    send: subscribeFrame({ collection }, collection),
    until: `"type":"ready","id":"${collection}"`,
  }));
  return [upgrade, ...subscribing];
}
