import { afterEach, expect, it, vi } from "vitest";
import { PaperDBError } from "./paperdb-error.ts";
import { resolveSettings } from "./settings.ts";
import type { ClientOptions } from "./types.ts";

const getToken = (): string => "token";

function refusal(options: ClientOptions): string {
  try {
    resolveSettings(options);
  } catch (error) {
    expect(error).toBeInstanceOf(PaperDBError);
    expect(error).toMatchObject({ code: "invalid_options" });
    return (error as Error).message;
  }
  throw new Error("not refused");
}

afterEach(() => vi.unstubAllGlobals());

it.each([
  ["https://api.test", undefined, "https://api.test", "wss://api.test"],
  ["http://api.test:4000/", undefined, "http://api.test:4000", "ws://api.test:4000"],
  ["https://api.test/live//", undefined, "https://api.test/live", "wss://api.test/live"],
  ["https://api.test/?a=1#b", "wss://rt.test/", "https://api.test", "wss://rt.test"],
  ["https://api.test", "ws://rt.test/realtime/", "https://api.test", "ws://rt.test/realtime"],
  ["https://api.test", "https://rt.test/x", "https://api.test", "wss://rt.test/x"],
])("takes %s and %s", (baseUrl, realtimeUrl, expectedBase, expectedRealtime) => {
  const settings = resolveSettings({ baseUrl, realtimeUrl, getToken });
  expect([settings.baseUrl, settings.realtimeUrl]).toEqual([expectedBase, expectedRealtime]);
});

it("has defaults, also for what is given as undefined", () => {
  const options = { heartbeatTimeoutMs: undefined, backoff: { maxMs: undefined }, fetch: undefined };
  expect(resolveSettings({ baseUrl: "http://test", getToken, ...options })).toMatchObject({
    backoff: { minMs: 250, maxMs: 30_000 },
    heartbeatTimeoutMs: 45_000,
    connectTimeoutMs: 15_000,
    lingerMs: 1_000,
    fetch: globalThis.fetch,
  });
});

it("wants exactly one of apiKey and getToken", () => {
  expect(refusal({ baseUrl: "http://test" })).toMatch(/either apiKey.* or getToken/);
  expect(refusal({ baseUrl: "http://test", apiKey: "flc_secret_x", getToken })).toMatch(
    /either apiKey.* or getToken/,
  );
});

it("names the address that is no URL, and never the key", () => {
  expect(refusal({ baseUrl: "api.test", getToken })).toMatch(/baseUrl is not a URL/);
  expect(refusal({ baseUrl: "localhost:4000", getToken })).toMatch(/baseUrl is not a URL/);
  expect(refusal({ baseUrl: "ftp://api.test", getToken })).toMatch(/baseUrl is not a URL/);
  expect(refusal({ baseUrl: "http://test", realtimeUrl: "//x", getToken })).toMatch(
    /realtimeUrl is not a URL/,
  );
  expect(refusal({ baseUrl: "nothing", apiKey: "flc_secret_x" })).not.toContain("flc_");
});

it.each(["flc_secret_x", "flc_anon_x"])(
  "refuses the key %s in a browser, and explains getToken",
  (apiKey) => {
    vi.stubGlobal("document", {});
    const message = refusal({ baseUrl: "http://test", apiKey });
    expect(message).toMatch(/must not be in a browser.*getToken.*generateToken/);
    expect(message).not.toContain(apiKey);
  },
);
