import { isTopicPattern } from "@paperdb/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { z } from "zod";
import { readGrantFilters } from "./grant-filters.ts";
import { readTokenClaims } from "./token-claims.ts";

const RIGHT = {
  jti: "token",
  tenant: "acme",
  key: "key_1",
  collections: ["messages"],
  topics: ["order.*"],
  permissions: ["read"],
  iat: 1_700_000_000.125,
  exp: 1_700_000_900.125,
};

/** What claims have to be. */
const schema = z.object({
  jti: z.string().min(1),
  tenant: z.string().min(1),
  key: z.string().min(1),
  collections: z.array(z.string()),
  topics: z.array(z.string().refine(isTopicPattern)),
  permissions: z.array(z.enum(["read"])),
  filters: z
    .unknown()
    .refine((filters) => readGrantFilters(filters) !== undefined)
    .optional(),
  iat: z.number(),
  exp: z.number(),
});

const value = fc.oneof(
  fc.constantFrom<unknown>("a", "", "a.b", "order.>", "a..b", 1, -0, 1e300, null, undefined, true, [], {}),
  fc.array(fc.constantFrom<unknown>("read", "write", "a.*", ">", "", 1, null, ["read"]), { maxLength: 3 }),
  fc.constantFrom<unknown>({ messages: { room: "1" } }, { messages: { $where: 1 } }, { messages: "{}" }),
  fc.double(),
  fc.jsonValue({ maxDepth: 2 }),
);
const claim = fc.constantFrom(...Object.keys(RIGHT), "filters", "other");

it("are read where the schema lets them pass, and only there (property)", () => {
  let read = 0;
  fc.assert(
    fc.property(fc.dictionary(claim, value, { maxKeys: 2 }), (changed) => {
      const payload = { ...RIGHT, ...changed };
      const claims = readTokenClaims(payload);
      expect(claims !== undefined).toBe(schema.safeParse(payload).success);
      if (claims !== undefined) read += 1;
    }),
    { numRuns: 3000 },
  );
  expect(read).toBeGreaterThan(100);
});

it("are read as they are", () => {
  const { jti, key, iat, exp, ...same } = RIGHT;
  const times = { issuedAtMs: iat * 1000, expiresAtMs: exp * 1000 };
  expect(readTokenClaims({ ...RIGHT, other: 1 })).toEqual({ id: jti, keyId: key, ...same, ...times });
  expect(readTokenClaims({ ...RIGHT, filters: { messages: { room: "1" } } })?.filters?.has("messages")).toBe(
    true,
  );
});

it.each([null, undefined, "text", 1, [], [RIGHT]])("are not read from %j", (payload) => {
  expect(readTokenClaims(payload)).toBeUndefined();
});

it.each(Object.keys(RIGHT))("are not read without %s", (name) => {
  expect(readTokenClaims({ ...RIGHT, [name]: undefined })).toBeUndefined();
});
