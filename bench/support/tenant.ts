import type { ServerProcess } from "./server-process.ts";

/** A tenant of the server under test. */
export interface BenchTenant {
  readonly id: string;
  readonly anonKey: string;
  readonly secretKey: string;
}

/** Creates a tenant on plan `pro`, which has no rate limits by default. */
export async function createTenant(server: ServerProcess, id: string): Promise<BenchTenant> {
  await callAdmin(server, "tenants", { id, plan: "pro" });
  const createKey = async (role: string): Promise<string> => {
    const created = await callAdmin(server, `tenants/${id}/keys`, { role });
    if (typeof created === "object" && created !== null && "key" in created) return String(created.key);
    throw new Error("The admin API created a key and did not show it.");
  };
  return { id, anonKey: await createKey("anon"), secretKey: await createKey("secret") };
}

async function callAdmin({ url, adminKey }: ServerProcess, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${url}/v1/admin/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`The admin API answered ${response.status} to POST ${path}.`);
  return response.json();
}
