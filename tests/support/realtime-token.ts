import { createSecretKey } from "node:crypto";
import { decodeJwt, SignJWT, type JWTPayload } from "jose";

/** An answer of `POST /realtime/token`. */
export interface TokenAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Headers;
}

/** Asks a server for a token, whatever it answers. A `body` that is text is sent as it is. */
export async function requestToken(
  serverUrl: string,
  key: string | undefined,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<TokenAnswer> {
  const response = await fetch(`${serverUrl}/realtime/token`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const answer = JSON.parse(await response.text()) as Record<string, unknown>;
  return { status: response.status, body: answer, headers: response.headers };
}

/** A token. @throws when the server refuses. */
export async function mintToken(serverUrl: string, key: string, body: unknown): Promise<string> {
  const { status, body: answer } = await requestToken(serverUrl, key, body);
  if (status !== 200) throw new Error(`no token: ${status} ${JSON.stringify(answer)}`);
  return String(answer["token"]);
}

/** What a forger changes of a good token. */
export interface Forgery {
  readonly claims?: JWTPayload;
  /** Claims that are left out. */
  readonly without?: readonly string[];
  readonly header?: Record<string, unknown>;
}

/** A token like `token`, but for what is changed, signed with `secret`. */
export function signLike(token: string, secret: string, forgery: Forgery = {}): Promise<string> {
  const { claims = {}, without = [], header = {} } = forgery;
  const all = Object.entries({ ...decodeJwt(token), ...claims });
  const kept = Object.fromEntries(all.filter(([name]) => !without.includes(name)));
  return new SignJWT(kept)
    .setProtectedHeader({ alg: "HS256", typ: "JWT", ...header })
    .sign(createSecretKey(Buffer.from(secret)));
}

/** A token's parts with others in their place, unsigned anew. */
export function replacePart(token: string, index: 0 | 1 | 2, change: (decoded: string) => string): string {
  const parts = token.split(".");
  const decoded = Buffer.from(parts[index] ?? "", "base64url").toString("utf8");
  parts[index] = Buffer.from(change(decoded)).toString("base64url");
  return parts.join(".");
}
