import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { beforeEach, describe, expect, test } from "vitest";
import { RealtimeTokens } from "./realtime-token.ts";
import type { MintRequest } from "./realtime-token.ts";

const SECRET = "a-secret-of-this-test-0123456789abcdef";
const OTHER = "another-secret-of-this-test-0123456789";
const NOW_MS = Date.UTC(2026, 0, 1);
const REQUEST: MintRequest = {
  tenant: "acme",
  keyId: "key_1",
  collections: ["messages", "notes"],
  topics: ["order.*"],
  permissions: ["read"],
  lifetimeSeconds: 900,
};

let nowMs: number;
let tokens: RealtimeTokens;

beforeEach(() => {
  nowMs = NOW_MS;
  tokens = make([SECRET]);
});

function make(secrets: readonly string[], maxLength = 8192): RealtimeTokens {
  return new RealtimeTokens({ secrets, maxLength, now: () => nowMs });
}

test("names are the same for all who have a secret, and nobody else can make them", () => {
  const [name = ""] = tokens.namesOf("a");
  expect(name).toMatch(/^[\w-]{11}$/);
  expect(make([OTHER, SECRET]).namesOf("a")).toEqual([...make([OTHER]).namesOf("a"), name]);
  expect(make([OTHER]).namesOf("a")).not.toContain(name);
  expect(tokens.namesOf("b")).not.toContain(name);
});

async function codeOf(token: string, by = tokens): Promise<string> {
  try {
    await by.verify(token);
    return "good";
  } catch (error) {
    if (error instanceof RealtimeError) return error.code;
    throw error;
  }
}

async function detailOf(token: string): Promise<string> {
  const error: unknown = await tokens.verify(token).catch((reason: unknown) => reason);
  if (!(error instanceof RealtimeError)) throw new Error("the token was not refused");
  expect(error.code).toBe("token_invalid");
  return error.message;
}

/** A good token but for what is changed, signed as told. */
async function forge(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  secret = SECRET,
): Promise<string> {
  const { token } = await tokens.mint(REQUEST);
  return new SignJWT({ ...decodeJwt(token), ...claims })
    .setProtectedHeader({ alg: "HS256", ...header })
    .sign(createSecretKey(Buffer.from(secret)));
}

function encode(part: unknown): string {
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}

describe("a token", () => {
  test("says what it was minted for", async () => {
    const { token, expiresAt } = await tokens.mint(REQUEST);
    const { lifetimeSeconds, ...said } = REQUEST;
    expect(expiresAt.getTime()).toBe(NOW_MS + lifetimeSeconds * 1000);
    const claims = await tokens.verify(token);
    expect(claims).toMatchObject({ ...said, issuedAtMs: NOW_MS, expiresAtMs: expiresAt.getTime() });
    expect(claims.id).toMatch(/^[0-9a-f-]{36}$/);
    const again = await tokens.verify((await tokens.mint(REQUEST)).token);
    expect(again.id).not.toBe(claims.id);
  });

  test("is a JWT with the registered claims", async () => {
    const { token } = await tokens.mint(REQUEST);
    expect(decodeProtectedHeader(token)).toEqual({
      alg: "HS256",
      typ: "JWT",
      kid: expect.stringMatching(/^[\w-]{12}$/) as unknown,
    });
    expect(decodeJwt(token)).toMatchObject({
      iss: "paperdb-realtime",
      aud: "paperdb-realtime",
      tenant: "acme",
      key: "key_1",
      iat: NOW_MS / 1000,
      exp: NOW_MS / 1000 + 900,
    });
    expect(token).not.toContain(SECRET);
  });

  test("lasts its time, whatever fraction of a second it is, and not longer", async () => {
    nowMs = NOW_MS + 990;
    const { token, expiresAt } = await tokens.mint({ ...REQUEST, lifetimeSeconds: 1 });
    const { exp = 0, iat = 0 } = decodeJwt(token);
    expect(exp - iat).toBe(1);
    expect(expiresAt.getTime() - nowMs).toBeGreaterThan(800);
    nowMs = expiresAt.getTime() - 1;
    expect(await codeOf(token)).toBe("good");
    nowMs = expiresAt.getTime();
    expect(await codeOf(token)).toBe("token_expired");
    nowMs += 10_000;
    expect(await codeOf(token)).toBe("token_expired");
  });

  test("carries its filters, of collections of any name", async () => {
    const filters: object = JSON.parse('{"__proto__":{"a":1},"messages":{"room":{"$in":["x","y"]}}}');
    const { token } = await tokens.mint({ ...REQUEST, collections: ["__proto__", "messages"], filters });
    const claims = await tokens.verify(token);
    expect(claims.filters?.get("__proto__")?.matches({ a: 2 })).toBe(false);
    expect(claims.filters?.get("messages")?.matches({ room: "y" })).toBe(true);
    expect((await tokens.verify((await tokens.mint(REQUEST)).token)).filters).toBeUndefined();
  });

  test.each([[[]], ["{}"], [{ messages: { a: { $near: 1 } } }], [{ messages: "{}" }], [7]])(
    "whose filters cannot be read is not valid: %j",
    async (filters) => {
      expect(await codeOf(await forge({ filters }))).toBe("token_invalid");
    },
  );

  test("that would be too long is not made", async () => {
    const collections = Array.from({ length: 50 }, (_, index) => `collection_number_${String(index)}`);
    await expect(make([SECRET], 1000).mint({ ...REQUEST, collections })).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringMatching(/"collections", "topics" and "filters" .* 1000 .*name fewer/) as unknown,
    });
  });
});

describe("refused", () => {
  test("the secret of somebody else", async () => {
    const { token } = await make([OTHER]).mint(REQUEST);
    expect(await codeOf(token)).toBe("token_invalid");
    expect(await codeOf(await forge({}, {}, OTHER))).toBe("token_invalid");
    const { kid } = decodeProtectedHeader((await tokens.mint(REQUEST)).token);
    expect(await codeOf(await forge({}, { kid }, OTHER))).toBe("token_invalid");
    expect(await codeOf(await forge({}, { kid }))).toBe("good");
  });

  test.each<[string, Record<string, unknown>]>([
    ["another audience", { aud: "paperdb" }],
    ["another issuer", { iss: "elsewhere" }],
    ["no id", { jti: undefined }],
    ["no end", { exp: undefined }],
    ["no time of issue", { iat: undefined }],
    ["not valid yet", { nbf: NOW_MS / 1000 + 60 }],
    ["issued in the future", { iat: NOW_MS / 1000 + 60, exp: NOW_MS / 1000 + 900 }],
    ["no tenant", { tenant: undefined }],
    ["an empty tenant", { tenant: "" }],
    ["a tenant that is no text", { tenant: { $ne: "" } }],
    ["no key", { key: undefined }],
    ["collections that are no list", { collections: "messages" }],
    ["no collections", { collections: undefined }],
    ["a collection that is no text", { collections: [null] }],
    ["no topics", { topics: undefined }],
    ["a topic that is none", { topics: ["a..b"] }],
    ["an unknown permission", { permissions: ["read", "write"] }],
    ["an end that is no number", { exp: "tomorrow" }],
  ])("%s, though well signed", async (_name, claims) => {
    expect(await codeOf(await forge({}))).toBe("good");
    expect(await codeOf(await forge(claims))).toBe("token_invalid");
  });

  test("an issue time slightly ahead is another server's clock", async () => {
    expect(await codeOf(await forge({ iat: NOW_MS / 1000 + 4 }))).toBe("good");
  });

  test.each([
    ["none", "none"],
    ["none in capitals", "None"],
    ["no text", 5],
    ["none at all", undefined],
  ])("an algorithm that is %s", async (_name, alg) => {
    const [, claims, signature] = (await tokens.mint(REQUEST)).token.split(".");
    for (const last of ["", signature]) {
      expect(await codeOf(`${encode({ alg, typ: "JWT" })}.${claims}.${last}`)).toBe("token_invalid");
    }
  });

  test("another algorithm with the right secret, or with a key of its own", async () => {
    const { token } = await tokens.mint(REQUEST);
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const jwt = (): SignJWT => new SignJWT(decodeJwt(token));
    const long = createSecretKey(Buffer.from(SECRET.repeat(2)));
    const hs512 = await jwt().setProtectedHeader({ alg: "HS512" }).sign(long);
    const rs256 = await jwt().setProtectedHeader({ alg: "RS256" }).sign(privateKey);
    expect(await codeOf(hs512, make([SECRET.repeat(2)]))).toBe("token_invalid");
    expect(await codeOf(rs256)).toBe("token_invalid");
    expect(await detailOf(rs256)).toContain("HS256");
  });

  test.each(["tenant", "key", "collections", "topics", "exp", "iat", "jti", "aud", "permissions"])(
    "a changed %s",
    async (claim) => {
      const { token } = await tokens.mint(REQUEST);
      const [header, , signature] = token.split(".");
      const changed = { ...decodeJwt(token), [claim]: ["changed"] };
      expect(await codeOf(`${header}.${encode(changed)}.${signature}`)).toBe("token_invalid");
    },
  );

  test("every change of one character", async () => {
    const { token } = await tokens.mint(REQUEST);
    // The last character has bits that mean nothing.
    for (let place = 0; place < token.length - 1; place += 7) {
      const other = token[place] === "A" ? "B" : "A";
      const changed = token.slice(0, place) + other + token.slice(place + 1);
      expect([place, await codeOf(changed)]).toEqual([place, "token_invalid"]);
    }
  });

  test.each([
    "",
    ".",
    "..",
    "a.b.c",
    "a.b",
    "a.b.c.d",
    "not a token",
    "flc_anon_0123456789",
    `${encode("{}")}.${encode("{}")}.`,
    `${encode("null")}.${encode("null")}.AAAA`,
    `${encode({ alg: "HS256", crit: ["b64"], b64: false })}.${encode("x")}.AAAA`,
    `${encode({ alg: "HS256", kid: 7 })}.${encode("{}")}.AAAA`,
    "\u0000.\u0000.\u0000",
  ])("garbage: %j", async (text) => {
    expect(await codeOf(text)).toBe("token_invalid");
  });

  test("what is too long, unread", async () => {
    const { token } = await tokens.mint(REQUEST);
    expect(await codeOf(token, make([SECRET], token.length))).toBe("good");
    expect(await codeOf(token, make([SECRET], token.length - 1))).toBe("token_invalid");
    expect(await codeOf(`${token}${"A".repeat(10_000_000)}`)).toBe("token_invalid");
  });

  test("with a sentence that says what to do and repeats nothing of it", async () => {
    const token = await forge({ aud: "elsewhere", tenant: "hunter2" });
    const detail = await detailOf(token);
    expect(detail).toMatch(/claim "aud".*Fetch a fresh token from your backend\.$/);
    for (const part of ["hunter2", ...token.split(".")]) expect(detail).not.toContain(part);
  });
});

describe("rotation", () => {
  test("the first secret signs, all are accepted, a removed one is not", async () => {
    const { token: early } = await make([OTHER]).mint(REQUEST);
    const both = make([SECRET, OTHER]);
    expect(await codeOf(early, both)).toBe("good");
    const { token: late } = await both.mint(REQUEST);
    expect(await codeOf(late, make([SECRET]))).toBe("good");
    expect(await codeOf(late, make([OTHER]))).toBe("token_invalid");
    expect(await codeOf(early, make([SECRET]))).toBe("token_invalid");
  });

  test("a token that does not name its secret is tried against all", async () => {
    const both = make([OTHER, SECRET]);
    expect(await codeOf(await forge({}), both)).toBe("good");
    expect(await codeOf(await forge({ exp: NOW_MS / 1000 - 1 }), both)).toBe("token_expired");
    expect(await codeOf(await forge({ aud: "elsewhere" }), both)).toBe("token_invalid");
    expect(await codeOf(await forge({}, { kid: "another" }), both)).toBe("token_invalid");
  });

  test("a server without a secret does not start", () => {
    expect(() => make([])).toThrow("no secret");
  });
});
