import type { ServerProcess } from "./server-process.ts";

const ANSWER_WITHIN_MS = 30_000;

/** A tenant of the server under test. */
export interface BenchTenant {
  readonly id: string;
  readonly anonKey: string;
  readonly secretKey: string;
}

/** Creates a tenant. By default, no plan has rate limits; `team` has the most connections. */
export async function createTenant(
  server: ServerProcess,
  id: string,
  plan: "pro" | "team" = "pro",
): Promise<BenchTenant> {
  await callAdmin(server, "tenants", { id, plan });
  const createKey = async (role: string): Promise<string> => {
    const created = await callAdmin(server, `tenants/${id}/keys`, { role });
    if (typeof created === "object" && created !== null && "key" in created) return String(created.key);
    throw new Error("The admin API created a key and did not show it.");
  };
  return { id, anonKey: await createKey("anon"), secretKey: await createKey("secret") };
}

/** Tenants `t0` … */
export async function createTenants(server: ServerProcess, count: number): Promise<readonly BenchTenant[]> {
  const tenants: BenchTenant[] = [];
  while (tenants.length < count) tenants.push(await createTenant(server, `t${tenants.length}`));
  return tenants;
}

async function callAdmin({ url, adminKey }: ServerProcess, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${url}/v1/admin/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (response.status !== 201) throw new Error(`The admin API answered ${response.status} to POST ${path}.`);
  return response.json();
}
