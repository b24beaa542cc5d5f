import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { createHttpServer } from "./http-server.ts";

it("gives up on clients that take too long for their headers or their request", async () => {
  const app = await createHttpServer({ corsOrigins: ["*"], version: "1", log: pino({ level: "silent" }) });
  onTestFinished(() => app.close());
  expect(app.server.headersTimeout).toBe(15_000);
  expect(app.server.requestTimeout).toBe(60_000);
});

it("logs the path of a request where that is wanted, never its query", async () => {
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void lines.push(line) });
  const app = await createHttpServer({ corsOrigins: ["*"], version: "1", log });
  onTestFinished(() => app.close());
  await app.inject("/openapi.json?apikey=flc_anon_secret");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toContainEqual(
    expect.objectContaining({ path: "/openapi.json", status: 200, reqId: expect.any(String) }),
  );
  expect(lines.join("")).not.toContain("flc_anon");
});

it("logs no requests otherwise", async () => {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const app = await createHttpServer({ corsOrigins: ["*"], version: "1", log });
  onTestFinished(() => app.close());
  expect((await app.inject("/openapi.json")).statusCode).toBe(200);
  expect((await app.inject("/nothing")).statusCode).toBe(404);
  expect(lines).toEqual([]);
});
