import type { ServerProcess } from "./server-process.ts";
import type { BenchTenant } from "./tenant.ts";

const TOKEN_SECONDS = 86_400;
const MINTING_AT_ONCE = 50;

/** What a token allows. */
export interface TokenGrant {
  readonly collections?: readonly string[];
  readonly topics?: readonly string[];
  /** By collection. */
  readonly filters?: Readonly<Record<string, unknown>>;
}

/** Has a token minted by the server. */
export async function fetchToken(
  { url }: ServerProcess,
  { secretKey }: BenchTenant,
  grant: TokenGrant,
): Promise<string> {
  const response = await fetch(`${url}/realtime/token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secretKey}`, "content-type": "application/json" },
    body: JSON.stringify({ ...grant, permissions: ["read"], expiresIn: TOKEN_SECONDS }),
  });
  const answer: unknown = await response.json();
  if (typeof answer === "object" && answer !== null && "token" in answer) return String(answer.token);
  throw new Error(`The server answered ${response.status} to a request for a token.`);
}

/** A token for each of the grants, no two the same. */
export async function fetchTokens(
  server: ServerProcess,
  tenant: BenchTenant,
  grants: readonly TokenGrant[],
): Promise<readonly string[]> {
  const tokens: string[] = [];
  while (tokens.length < grants.length) {
    const batch = grants.slice(tokens.length, tokens.length + MINTING_AT_ONCE);
    tokens.push(...(await Promise.all(batch.map((grant) => fetchToken(server, tenant, grant)))));
  }
  return tokens;
}
