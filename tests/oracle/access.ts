import { requestToken } from "../support/realtime-token.ts";
import { until } from "../support/until.ts";
import type { SubscriberPlan } from "./plan.ts";
import type { Access } from "./subscriber.ts";

/** The server's addresses, as clients and administrators see it. */
export interface ServerAddress {
  /** The same for clients, whichever server stands behind it. */
  readonly frontUrl: string;
  readonly url: string;
  readonly adminKey: string;
}

/** Longer than any fault. */
const TOKEN_TIMEOUT_MS = 90_000;
const TOKEN_SECONDS = 3_600;
/** Not known yet, too many, or away. */
const PASSING = new Set([404, 429, 503]);

/** Makes a subscriber's key, while nothing goes wrong yet. */
export async function openAccess(plan: SubscriberPlan, address: ServerAddress): Promise<Access> {
  const { collection, tenant, client } = plan;
  const { keyWhere, token } = plan.grant;
  const usesKeyItself = token === undefined && client === "sse";
  const key = await createKey(address, tenant, {
    role: usesKeyItself ? "anon" : "secret",
    ...(keyWhere === undefined || collection === undefined ? {} : { where: { [collection]: keyWhere } }),
  });
  const mint = async (signal: AbortSignal): Promise<string> => {
    const granted = collection === undefined ? { topics: ["oracle.>"] } : { collections: [collection] };
    const filter = token?.filter;
    const filters =
      filter === undefined || collection === undefined ? {} : { filters: { [collection]: filter } };
    const body = { ...granted, ...filters, expiresIn: token?.seconds ?? TOKEN_SECONDS };
    return await fetchToken(address.frontUrl, key, { body, signal });
  };
  return {
    url: address.frontUrl,
    fetchCredential: (signal) => (usesKeyItself ? Promise.resolve(key) : mint(signal)),
    sdkCredential: () => (token === undefined ? { apiKey: key } : { getToken: ({ signal }) => mint(signal) }),
  };
}

/** Makes a tenant by the admin API. */
export async function createTenant({ url, adminKey }: ServerAddress, id: string): Promise<void> {
  await post(`${url}/v1/admin/tenants`, adminKey, { id, plan: "pro" });
}

async function createKey({ url, adminKey }: ServerAddress, tenant: string, body: object): Promise<string> {
  const { key } = await post(`${url}/v1/admin/tenants/${encodeURIComponent(tenant)}/keys`, adminKey, body);
  return String(key);
}

async function post(url: string, key: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`POST ${url}: ${String(response.status)} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** Asks again while the server is away. */
function fetchToken(
  url: string,
  key: string,
  { body, signal }: { readonly body: object; readonly signal: AbortSignal },
): Promise<string> {
  return until(
    async () => {
      signal.throwIfAborted();
      try {
        const { status, body: answer } = await requestToken(url, key, body);
        if (status === 200) return String(answer["token"]);
        if (!PASSING.has(status)) throw new Error(`no token: ${String(status)} ${JSON.stringify(answer)}`);
      } catch (error) {
        // What fetch throws when nobody answers.
        if (!(error instanceof TypeError)) throw error;
      }
      return undefined;
    },
    { timeoutMs: TOKEN_TIMEOUT_MS, intervalMs: 100, describe: "a token" },
  );
}
