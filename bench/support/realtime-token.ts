import type { ServerProcess } from "./server-process.ts";
import type { BenchTenant } from "./tenant.ts";

const TOKEN_SECONDS = 86_400;

/** What a token allows. */
export interface TokenGrant {
  readonly collections?: readonly string[];
  readonly topics?: readonly string[];
}

/** Has a token minted by the server. */
export async function fetchTokenFor(
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
