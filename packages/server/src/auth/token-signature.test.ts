import { createHmac, createSecretKey } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import fc from "fast-check";
import { decodeJwt, jwtVerify, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { RealtimeTokens, type MintRequest } from "./realtime-token.ts";
import { readOwnClaims, signingSecret } from "./token-signature.ts";

const SECRETS = ["a-secret-of-this-test-0123456789abcdef", "another-secret-of-this-test-0123456789"];
const NOW_MS = Date.UTC(2026, 0, 1) + 125;
const REQUEST: MintRequest = {
  tenant: "acme",
  keyId: "key_1",
  collections: ["messages"],
  topics: ["order.*"],
  permissions: ["read"],
  lifetimeSeconds: 900,
};
const signingSecrets = SECRETS.map(signingSecret);
const tokens = new RealtimeTokens({ secrets: SECRETS, maxLength: 8192, now: () => NOW_MS });

describe("the claims of a token of our own", () => {
  it("are read, with whichever of the secrets it was signed", async () => {
    for (const secret of SECRETS) {
      const { token } = await new RealtimeTokens({ secrets: [secret], maxLength: 8192 }).mint(REQUEST);
      expect(readOwnClaims(token, signingSecrets)).toEqual(decodeJwt(token));
    }
  });

  it("are not read of one that was signed with a secret that is accepted no more", async () => {
    const { token } = await tokens.mint(REQUEST);
    expect(readOwnClaims(token, signingSecrets)).toBeDefined();
    expect(readOwnClaims(token, signingSecrets.slice(1))).toBeUndefined();
  });

  it("are not read of one that names its secret and is signed with another", () => {
    const [first, second] = signingSecrets;
    if (first === undefined || second === undefined) throw new Error("two secrets are needed");
    const signed = `${first.prefix}${Buffer.from("{}").toString("base64url")}`;
    const sign = (by: typeof first): string =>
      `${signed}.${createHmac("sha256", by.key).update(signed).digest("base64url")}`;
    expect(readOwnClaims(sign(first), signingSecrets)).toEqual({});
    expect(readOwnClaims(sign(second), signingSecrets)).toBeUndefined();
  });
});

/** What is signed: claims that are right or wrong, or anything. */
const claim = fc.oneof(
  fc.constantFrom<unknown>("paperdb-realtime", "acme", [], ["read"], ["a.b"], [""], null, undefined, {}, -0),
  fc.integer({ min: -1000, max: 1000 }).map((seconds) => NOW_MS / 1000 + seconds),
  fc.jsonValue(),
);
const names = [
  "iss",
  "aud",
  "jti",
  "tenant",
  "key",
  "collections",
  "topics",
  "permissions",
  "iat",
  "exp",
  "nbf",
];
const claims = fc.dictionary(fc.constantFrom(...names, "filters", "other", "__proto__"), claim, {
  maxKeys: 2,
});
const header = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(...signingSecrets.map(({ id }) => ({ alg: "HS256", typ: "JWT", kid: id }))),
  },
  fc.record({ alg: fc.constant("HS256"), kid: fc.constantFrom(undefined, "x", signingSecrets[1]?.id) }),
);

async function verdictOf(token: string): Promise<string> {
  try {
    await tokens.verify(token);
    return "good";
  } catch (error) {
    if (error instanceof RealtimeError) return error.code;
    throw error;
  }
}

/** Whether `jose` alone would let it pass as far as it looks. */
async function josePasses(token: string): Promise<boolean> {
  for (const secret of SECRETS) {
    try {
      await jwtVerify(token, createSecretKey(Buffer.from(secret)), {
        algorithms: ["HS256"],
        issuer: "paperdb-realtime",
        audience: "paperdb-realtime",
        requiredClaims: ["jti", "iat", "exp"],
        currentDate: new Date(NOW_MS),
      });
      return true;
    } catch {
      continue; // The next secret may be its own.
    }
  }
  return false;
}

describe("what is accepted", () => {
  it("jose accepts too, whatever is signed (property)", async () => {
    const { token: minted } = await tokens.mint(REQUEST);
    const right = decodeJwt(minted);
    let good = 0;
    await fc.assert(
      fc.asyncProperty(header, claims, fc.constantFrom(...SECRETS), async (head, changed, secret) => {
        const said = Object.fromEntries(Object.entries({ ...right, ...changed }));
        const token = await new SignJWT(said)
          .setProtectedHeader(JSON.parse(JSON.stringify(head)) as { alg: string })
          .sign(createSecretKey(Buffer.from(secret)));
        const verdict = await verdictOf(token);
        if (verdict !== "good") return;
        good += 1;
        expect([token, await josePasses(token)]).toEqual([token, true]);
      }),
      { numRuns: 1500 },
    );
    expect(good).toBeGreaterThan(50);
  });

  it("is not a token of ours with anything changed (property)", async () => {
    const { token } = await tokens.mint(REQUEST);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(token.length - 1),
        fc.string({ minLength: 1, maxLength: 2 }),
        async (at, text) => {
          const changed = token.slice(0, at) + text + token.slice(at + 1);
          fc.pre(changed !== token);
          if ((await verdictOf(changed)) === "good") expect(await josePasses(changed)).toBe(true);
          expect(readOwnClaims(changed, signingSecrets)).toBeUndefined();
        },
      ),
      { numRuns: 1500 },
    );
  });
});
