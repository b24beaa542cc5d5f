import { createHmac, randomUUID, type KeyObject } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import { errors, jwtVerify, SignJWT, type JWTPayload } from "jose";
import { readTokenClaims, type TokenClaims } from "./token-claims.ts";
import {
  headerOf,
  readOwnClaims,
  signingSecret,
  TOKEN_ALGORITHM,
  type SigningSecret,
} from "./token-signature.ts";

/** What a token is to say. */
export interface MintRequest extends Omit<TokenClaims, "id" | "issuedAtMs" | "expiresAtMs" | "filters"> {
  /** `{"collection": filter}`, valid. */
  readonly filters?: object | undefined;
  readonly lifetimeSeconds: number;
}

/** A token, and when it ends. */
export interface MintedToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** How tokens are signed and checked. */
export interface RealtimeTokensOptions {
  /** The first one signs, all are accepted. */
  readonly secrets: readonly string[];
  /** Characters of a token at most. */
  readonly maxLength: number;
  readonly now?: () => number;
}

/** Characters of a name: 66 bits. */
const NAME_LENGTH = 11;

const ISSUER = "paperdb-realtime";
const AUDIENCE = "paperdb-realtime";
/** A token whose issue time is later than our clock by more than this is not ours. */
const ISSUE_TOLERANCE_MS = 5000;
/** Ends fall on eighths of a second: exact as numbers, and a token of one second lasts about that. */
const TICKS_PER_SECOND = 8;

/** Mints and checks realtime tokens: JWTs, signed by HMAC-SHA-256 with a secret that all servers share. */
export class RealtimeTokens {
  readonly #secrets: readonly [SigningSecret, ...SigningSecret[]];
  readonly #maxLength: number;
  readonly #now: () => number;

  constructor({ secrets, maxLength, now = Date.now }: RealtimeTokensOptions) {
    const [first, ...others] = secrets.map(signingSecret);
    if (first === undefined) throw new Error("no secret to sign with");
    this.#secrets = [first, ...others];
    this.#maxLength = maxLength;
    this.#now = now;
  }

  /** A new token, valid from now. @throws {RealtimeError} `invalid_request`, when it names so much that it is too long. */
  async mint({
    tenant,
    keyId,
    collections,
    topics,
    permissions,
    filters,
    lifetimeSeconds,
  }: MintRequest): Promise<MintedToken> {
    const issuedAt = Math.floor((this.#now() / 1000) * TICKS_PER_SECOND) / TICKS_PER_SECOND;
    const expiresAt = issuedAt + lifetimeSeconds;
    const [{ id, key }] = this.#secrets;
    const token = await new SignJWT({ tenant, key: keyId, collections, topics, permissions, filters })
      .setProtectedHeader(headerOf(id))
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(expiresAt)
      .sign(key);
    if (token.length > this.#maxLength) {
      throw new RealtimeError(
        "invalid_request",
        `"collections", "topics" and "filters" make a token of ${token.length} characters, and ${this.#maxLength} are the limit: name fewer.`,
      );
    }
    return { token, expiresAt: new Date(expiresAt * 1000) };
  }

  /**
   * Short names of a text, by which all servers know it again and from which nobody else can guess it: one for each
   * secret, the newest first.
   */
  namesOf(text: string): readonly string[] {
    // A NUL is in nothing that is signed.
    return this.#secrets.map(({ key }) =>
      createHmac("sha256", key).update(`name\0${text}`).digest("base64url").slice(0, NAME_LENGTH),
    );
  }

  /** @throws {RealtimeError} `token_invalid`, `token_expired`. */
  async verify(token: string): Promise<TokenClaims> {
    this.requireLength(token);
    const own = readOwnClaims(token, this.#secrets);
    const claims = readTokenClaims(this.#isPlainlyGood(own) ? own : await this.#verifyWithJose(token));
    if (claims === undefined) throw invalid("its claims are not those of a realtime token");
    this.requireTimely(claims);
    return claims;
  }

  /** @throws {RealtimeError} `token_invalid`, when it is longer than any of ours. */
  requireLength(token: string): void {
    if (token.length > this.#maxLength) throw invalid("it is too long");
  }

  /**
   * Whether it is the time of a token that was found to be good before.
   *
   * @throws {RealtimeError} `token_invalid`, `token_expired`.
   */
  requireTimely({ issuedAtMs, expiresAtMs }: Pick<TokenClaims, "issuedAtMs" | "expiresAtMs">): void {
    const nowMs = this.#now();
    if (issuedAtMs > nowMs + ISSUE_TOLERANCE_MS) {
      throw invalid("it was issued in the future; if your servers made it, set their clocks");
    }
    if (expiresAtMs <= nowMs) throw tokenExpired();
  }

  /** Whether registered claims are as we make them: of others, `jose` says what is wrong with them. */
  #isPlainlyGood(claims: unknown): boolean {
    if (typeof claims !== "object" || claims === null || "nbf" in claims) return false;
    if (!("iss" in claims && claims.iss === ISSUER && "aud" in claims && claims.aud === AUDIENCE))
      return false;
    return "exp" in claims && typeof claims.exp === "number" && claims.exp * 1000 > this.#now();
  }

  async #verifyWithJose(token: string): Promise<JWTPayload> {
    const options = {
      algorithms: [TOKEN_ALGORITHM],
      issuer: ISSUER,
      audience: AUDIENCE,
      requiredClaims: ["jti", "iat", "exp"],
      currentDate: new Date(this.#now()),
    };
    // A token that names its secret is checked with that one, another with each in turn.
    for (const { id, key } of this.#secrets) {
      try {
        const { payload } = await jwtVerify(token, ({ kid = id }) => keyNamed(kid, id, key), options);
        return payload;
      } catch (error) {
        if (isOtherSecret(error)) continue;
        if (error instanceof errors.JWTExpired) throw tokenExpired();
        if (error instanceof errors.JOSEError) throw invalid(explain(error));
        throw error;
      }
    }
    throw invalid("none of this server's secrets has signed it");
  }
}

function keyNamed(wanted: string, id: string, key: KeyObject): KeyObject {
  if (wanted === id) return key;
  throw new errors.JWKSNoMatchingKey();
}

function isOtherSecret(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

function explain(error: errors.JOSEError): string {
  if (error instanceof errors.JOSEAlgNotAllowed) return `it is not signed by ${TOKEN_ALGORITHM}`;
  if (error instanceof errors.JWTClaimValidationFailed)
    return `its claim "${error.claim}" is missing or wrong`;
  return "it is no JWT, or a damaged one";
}

/** Without a cause: that of `jose` carries the claims. */
function invalid(why: string): RealtimeError {
  return new RealtimeError(
    "token_invalid",
    `The token is not valid: ${why}. Fetch a fresh token from your backend.`,
  );
}

/** For a token whose time is over. */
export function tokenExpired(): RealtimeError {
  return new RealtimeError("token_expired", "The token has expired: fetch a fresh token from your backend.");
}
