import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { createHttpServer } from "./http-server.ts";

const APP = "https://app.example.com";
const OTHER = "https://other.example.com";

type Headers = Readonly<Record<string, unknown>>;

async function serve(corsOrigins: readonly string[]): Promise<Awaited<ReturnType<typeof createHttpServer>>> {
  const app = await createHttpServer({ corsOrigins, version: "1", log: pino({ level: "silent" }) });
  onTestFinished(() => app.close());
  app.get("/failing", () => {
    throw new Error("on purpose");
  });
  return app;
}

const PATHS = [
  ["/openapi.json", 200],
  ["/nothing", 404],
  ["/failing", 500],
] as const;

it.each(PATHS)("lets every page read the answer of %s, where all may", async (url, status) => {
  const app = await serve([APP, "*"]);
  for (const headers of [{}, { origin: OTHER }] as Record<string, string>[]) {
    const answer = await app.inject({ url, headers });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers["access-control-allow-origin"]).toBe("*");
    expect(answer.headers.vary).toBeUndefined();
  }
});

it.each(PATHS)("lets pages of the origins that are named read the answer of %s", async (url) => {
  const app = await serve([APP]);
  const allowed = async (origin?: string): Promise<unknown> => {
    const answer = await app.inject({ url, ...(origin !== undefined && { headers: { origin } }) });
    expect(answer.headers.vary).toBe("Origin");
    return answer.headers["access-control-allow-origin"];
  };
  expect(await allowed(APP)).toBe(APP);
  expect(await allowed(OTHER)).toBeUndefined();
  expect(await allowed()).toBeUndefined();
});

it("answers preflights of any path", async () => {
  const app = await serve([APP]);
  const ask = async (origin: string): Promise<Headers> => {
    const headers = { origin, "access-control-request-method": "POST" };
    const answer = await app.inject({ method: "OPTIONS", url: "/v1/events/publish", headers });
    expect(answer.statusCode).toBe(204);
    expect(answer.headers.vary).toBe("Origin");
    return answer.headers;
  };
  expect(await ask(APP)).toMatchObject({
    "access-control-allow-origin": APP,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": expect.stringContaining("apikey"),
    "access-control-max-age": "600",
  });
  expect(await ask(OTHER)).not.toHaveProperty("access-control-allow-origin");
  expect((await app.inject({ method: "OPTIONS", url: "/healthz" })).statusCode).toBe(400);
});
