import type { IncomingHttpHeaders } from "node:http";
import { RealtimeError } from "@paperdb/protocol";
import { describe, expect, test } from "vitest";
import { extractCredential } from "./credential.ts";

function extract(headers: IncomingHttpHeaders, queryKey?: unknown, allowQuery = true): string {
  try {
    return extractCredential({ headers, queryKey, allowQuery }).text;
  } catch (error) {
    if (error instanceof RealtimeError) return `${error.code}: ${error.message}`;
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
    expect(extract({}, "")).toMatch(/^invalid_request: "apikey" .*empty/);
  });
});
