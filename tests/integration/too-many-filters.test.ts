import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { NotesServer } from "../support/notes-server.ts";

/** Each takes forty comparisons on every change, and is no other's. */
const dear = (from: number): Record<string, unknown> => ({
  id: { $nin: Array.from({ length: 40 }, (_, index) => from + index) },
});

let notes: NotesServer;

beforeAll(async () => {
  notes = await NotesServer.start("notify", { filters: { maxTriedComparisons: 100 } });
});

afterEach(() => notes?.closeClients());
afterAll(() => notes?.close());

it("refuses filters that would make each of a tenant's changes too dear, by SSE and WebSocket", async () => {
  const [tenant, other] = [
    await notes.server.createTenant("crowded"),
    await notes.server.createTenant("alone"),
  ];
  const token = await notes.mint(tenant);
  await notes.sse(tenant.anonKey, { where: dear(0) });
  const second = await notes.webSocket(token, { where: dear(1_000) });
  const refused = await notes.server.subscribe(
    { collection: "notes", where: JSON.stringify(dear(2_000)), snapshot: "true" },
    tenant.anonKey,
  );
  expect(refused.status).toBe(429);
  expect(JSON.parse(refused.body)).toMatchObject({ code: "too_many_filters" });
  // The same filter costs nothing more, an equality hardly anything, and another tenant has its own changes.
  await notes.sse(tenant.anonKey, { where: dear(0) });
  await notes.sse(tenant.anonKey, { where: { owner: "ada" } });
  await notes.sse(other.anonKey, { where: dear(2_000) });
  await notes.run(`insert into notes values (7, '${tenant.id}', 'ada', 'one')`);
  await expect.poll(() => second.seen()).toEqual([["insert", 7, "one"]]);
});

it("refuses too many topic patterns with wildcards", async () => {
  const tenant = await notes.server.createTenant("listening");
  const subscribe = (topic: string) => notes.server.subscribe({ topic }, tenant.anonKey);
  for (let number = 0; number < 100; number += 1) {
    const client = await subscribe(`order${String(number)}.*`);
    expect(client.status).toBe(200);
  }
  const refused = await subscribe("another.*");
  expect([refused.status, JSON.parse(refused.body)]).toMatchObject([429, { code: "too_many_filters" }]);
  expect((await subscribe("order.created")).status).toBe(200);
});
