import { isUtf8 } from "node:buffer";
import { createHash, createHmac, createSecretKey, timingSafeEqual, type KeyObject } from "node:crypto";

/** The one algorithm that tokens are signed by. */
export const TOKEN_ALGORITHM = "HS256";

/** What tokens are signed with. */
export interface SigningSecret {
  /** Which of several secrets it is; says nothing about it. */
  readonly id: string;
  readonly key: KeyObject;
  /** How tokens begin that were signed with it: {@link headerOf} it, and a dot. */
  readonly prefix: string;
}

export function signingSecret(secret: string): SigningSecret {
  const id = createHash("sha256")
    .update(`paperdb-realtime token secret ${secret}`)
    .digest("base64url")
    .slice(0, 12);
  const header = Buffer.from(JSON.stringify(headerOf(id))).toString("base64url");
  return { id, key: createSecretKey(Buffer.from(secret)), prefix: `${header}.` };
}

/** The header of tokens that are signed with a secret. */
export function headerOf(secretId: string): { alg: string; typ: string; kid: string } {
  return { alg: TOKEN_ALGORITHM, typ: "JWT", kid: secretId };
}

/**
 * The claims of a token that begins as we make it and whose signature is good; undefined for any other.
 *
 * `jose` has the last word about all others, and signs. It checks signatures by WebCrypto, whose way
 * through the thread pool takes many times as long as the signature: too long for thousands of
 * clients that come back at once. What is accepted here, `jose` accepts.
 */
export function readOwnClaims(token: string, secrets: readonly SigningSecret[]): unknown {
  const secret = secrets.find(({ prefix }) => token.startsWith(prefix));
  if (secret === undefined) return undefined;
  const end = token.indexOf(".", secret.prefix.length);
  if (end === -1) return undefined;
  const expected = createHmac("sha256", secret.key).update(token.slice(0, end)).digest("base64url");
  if (!isSameText(token.slice(end + 1), expected)) return undefined;
  const claims = Buffer.from(token.slice(secret.prefix.length, end), "base64url");
  if (!isUtf8(claims)) return undefined;
  try {
    return JSON.parse(claims.toString());
  } catch {
    return undefined; // Signed by somebody who has the secret, and no JSON: `jose` says so.
  }
}

/** Takes as long wherever they differ. */
function isSameText(one: string, other: string): boolean {
  const bytes = Buffer.from(one);
  const otherBytes = Buffer.from(other);
  return bytes.length === otherBytes.length && timingSafeEqual(bytes, otherBytes);
}
