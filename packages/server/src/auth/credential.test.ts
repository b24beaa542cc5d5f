import type { IncomingHttpHeaders } from "node:http";
import { RealtimeError } from "@paperdb/protocol";
import { describe, expect, test } from "vitest";
import { extractCredential, type CredentialCarrier } from "./credential.ts";

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ0ZW5hbnQiOiJhIn0.c2lnbmF0dXJlLV8";

function extract(headers: IncomingHttpHeaders, queryKey?: unknown, allowQuery = true): string {
  const { kind, text } = attempt({ headers, queryKey, allowQuery });
  expect(kind).not.toBe("token");
  return text;
}

/** The credential, or as text the error. */
function attempt(carrier: CredentialCarrier): { readonly kind: string; readonly text: string } {
  try {
    return extractCredential(carrier);
  } catch (error) {
    if (error instanceof RealtimeError) return { kind: "error", text: `${error.code}: ${error.message}` };
    throw error;
  }
}

describe("where a key is taken from", () => {
  test.each<[string, IncomingHttpHeaders, unknown, string]>([
    ["the apikey header", { apikey: "flc_anon_a" }, undefined, "flc_anon_a"],
    ["the bearer", { authorization: "Bearer flc_anon_a" }, undefined, "flc_anon_a"],
    ["a bearer in another case", { authorization: "bearer  flc_anon_a " }, undefined, "flc_anon_a"],
    ["the query", {}, "flc_anon_a", "flc_anon_a"],
    ["the header, not the query", { apikey: "flc_anon_a" }, "flc_anon_b", "flc_anon_a"],
    ["the bearer, not the query", { authorization: "Bearer flc_anon_a" }, "flc_anon_b", "flc_anon_a"],
    ["the apikey header, not the bearer", { apikey: "a", authorization: "Bearer b" }, undefined, "a"],
    ["the header, whatever the query has", { apikey: "a" }, "flc_secret_x", "a"],
    ["the query beside another scheme", { authorization: "Basic eDp5" }, "flc_anon_a", "flc_anon_a"],
    ["the query beside an empty header", { apikey: " " }, "flc_anon_a", "flc_anon_a"],
  ])("%s", (_name, headers, queryKey, expected) => {
    expect(extract(headers, queryKey)).toBe(expected);
  });
});

describe("what is refused", () => {
  test("no key: how to send one", () => {
    expect(extract({})).toMatch(/^unauthorized: There is no key: send the header "apikey: .*EventSource/);
    expect(extract({}, undefined, false)).toMatch(
      /^unauthorized: There is no key: send the header "apikey: .*"\.$/,
    );
  });

  test("another scheme", () => {
    expect(extract({ authorization: "Basic eDp5" })).toMatch(
      /^unauthorized: The Authorization header has no bearer/,
    );
  });

  test("a key in the query where headers can be set", () => {
    expect(extract({}, "flc_anon_a", false)).toMatch(/^unauthorized: This address takes no key in the query/);
  });

  test("a secret key in the query, well-formed or not, and it is not repeated", () => {
    const answer = extract({}, "flc_secret_hunter2");
    expect(answer).toMatch(/^secret_key_in_query: .*revoke this secret key/);
    expect(answer).not.toContain("hunter2");
  });

  test("a repeated or empty parameter", () => {
    expect(extract({}, ["flc_anon_a", "flc_anon_a"])).toMatch(/^invalid_request: "apikey" .*more than once/);
    expect(extract({}, "")).toMatch(/^unauthorized: "apikey" .*empty/);
  });
});

describe("a token", () => {
  const allowQuery = true;

  test.each([JWT, "a.b.c", "a.b.", "a_-.b_-.c_-"])("is a bearer of the form %s", (token) => {
    const headers = { authorization: `Bearer ${token}` };
    expect(attempt({ headers, allowQuery: false })).toEqual({ kind: "token", text: token });
  });

  test.each(["a.b", "a.b.c.d", "a.b.c=", ".b.c", "flc_anon_a"])("is not a bearer of the form %s", (text) => {
    const headers = { authorization: `Bearer ${text}` };
    expect(attempt({ headers, allowQuery })).toEqual({ kind: "key", text });
  });

  test("is the query's token, whatever its form", () => {
    for (const queryToken of [JWT, "garbage", "flc_anon_a"]) {
      expect(attempt({ headers: {}, queryToken, allowQuery })).toEqual({ kind: "token", text: queryToken });
    }
  });

  test("in the query gives way to a header", () => {
    const queryToken = "a.b.c";
    const byKey = { headers: { apikey: "flc_anon_a" }, queryToken, allowQuery };
    expect(attempt(byKey)).toEqual({ kind: "key", text: "flc_anon_a" });
    const byToken = { headers: { authorization: `Bearer ${JWT}` }, queryToken, queryKey: "x", allowQuery };
    expect(attempt(byToken)).toEqual({ kind: "token", text: JWT });
  });

  test("and a key in the query are one too many", () => {
    expect(attempt({ headers: {}, queryKey: "flc_anon_a", queryToken: JWT, allowQuery }).text).toMatch(
      /^invalid_request: .*"apikey" and "token"/,
    );
  });

  test("is refused in the query where headers can be set", () => {
    expect(attempt({ headers: {}, queryToken: JWT, allowQuery: false }).text).toMatch(
      /^unauthorized: This address takes no token in the query/,
    );
  });

  test("is refused when it is repeated, empty, or a secret key", () => {
    const textOf = (queryToken: unknown): string => attempt({ headers: {}, queryToken, allowQuery }).text;
    expect(textOf([JWT, JWT])).toMatch(/^invalid_request: "token" .*more than once/);
    expect(textOf("")).toMatch(/^unauthorized: "token" .*empty/);
    expect(textOf("flc_secret_hunter2")).toMatch(/^secret_key_in_query: (?!.*hunter2)/);
  });
});
