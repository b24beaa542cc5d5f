/** A tenant with both kinds of key. */
export interface TestTenant {
  readonly id: string;
  readonly anonKey: string;
  readonly secretKey: string;
}

/** Makes a tenant on plan `pro` by the admin API of a server. */
export async function createTenant(serverUrl: string, adminKey: string, id: string): Promise<TestTenant> {
  const post = async (path: string, body: unknown): Promise<{ key: string }> => {
    const response = await fetch(`${serverUrl}/v1/admin/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (response.status !== 201)
      throw new Error(`POST ${path}: ${String(response.status)} ${await response.text()}`);
    return JSON.parse(await response.text());
  };
  const keyOf = async (role: string): Promise<string> =>
    (await post(`tenants/${encodeURIComponent(id)}/keys`, { role })).key;
  await post("tenants", { id, plan: "pro" });
  return { id, anonKey: await keyOf("anon"), secretKey: await keyOf("secret") };
}
