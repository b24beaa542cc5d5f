import { Ajv, type ValidateFunction } from "ajv";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";

interface Reference {
  readonly $ref: string;
}

interface Description {
  readonly operations: Readonly<
    Record<
      string,
      { readonly channel: Reference; readonly action: string; readonly messages: readonly Reference[] }
    >
  >;
}

let messages: MessagesServer;
let description: Description;

beforeAll(async () => {
  messages = await MessagesServer.start({ connections: { heartbeatIntervalMs: 100 } });
  const response = await fetch(`${messages.url}/asyncapi.json`);
  description = (await response.json()) as Description;
});

afterAll(() => messages.close());

/** What a JSON pointer names. */
function resolve(pointer: string): unknown {
  let value: unknown = description;
  for (const name of pointer.slice(2).split("/")) value = (value as Record<string, unknown>)[name];
  return value;
}

/** A validator for each message that the server may send on a channel, by the message's name. */
function validatorsOf(channel: string): Map<string, ValidateFunction> {
  const ajv = new Ajv({ strict: true, allErrors: true });
  const operations = Object.values(description.operations).filter(
    (operation) => operation.action === "send" && operation.channel.$ref === `#/channels/${channel}`,
  );
  const references = operations.flatMap((operation) => operation.messages);
  return new Map(
    references.map(({ $ref }) => {
      const { $ref: target } = resolve($ref) as Reference;
      const { name, payload } = resolve(target) as { name: string; payload: object };
      return [name, ajv.compile(payload)];
    }),
  );
}

/** Which message each text is: exactly one. */
function namesOf(client: WebSocketClient, validators: Map<string, ValidateFunction>): string[] {
  return client.texts.map((text) => {
    const value: unknown = JSON.parse(text);
    const fitting = [...validators].filter(([, validate]) => validate(value));
    expect([text, fitting.map(([name]) => name)]).toEqual([text, [expect.any(String)]]);
    return fitting[0]?.[0] ?? "";
  });
}

/** Everything that a server can say on `paperdb.v1`. */
async function converse(): Promise<WebSocketClient[]> {
  const client = await messages.open();
  await client.waitFor("heartbeat");
  await client.subscribe("m", { collection: "messages" });
  await client.subscribe("t", { topic: "order.*" });
  await messages.add("messages", "acme", "inserted");
  await messages.server.database.query("update messages set body = 'updated'");
  await messages.server.database.query("delete from messages");
  await messages.publish("order.created", { id: 123 });
  await client.waitFor("event", 4);
  await until(() => client.ofType("heartbeat").some(({ cursors }) => Object.keys(cursors).length > 0));
  const { cursor } = await client.waitFor("event");
  client.send({ type: "subscribe", id: "x", collection: "elsewhere" });
  client.send({ type: "subscribe", collection: "messages" });
  await client.waitFor("error", 2);
  await messages.server.database.query("truncate messages");
  await client.waitFor("reset");
  await client.waitFor("ready", 3);

  const resumed = await messages.open();
  await resumed.subscribe("n", { collection: "notifications" }, cursor);
  const lost = await messages.open();
  await lost.subscribe("n", { collection: "notifications" }, "rubbish");
  lost.send({ type: "subscribe", id: "m", collection: "messages", snapshot: true });
  await lost.waitFor("snapshot");
  await lost.waitFor("ready", 2);
  lost.send("rubbish");
  expect((await lost.waitForClose()).code).toBe(4008);
  return [client, resumed, lost];
}

it("describes every message that a server sends on paperdb.v1, and no other", async () => {
  const validators = validatorsOf("v1");
  const seen = new Set<string>();
  for (const client of await converse()) {
    for (const [index, name] of namesOf(client, validators).entries()) {
      seen.add(name);
      expect(name).toBe(client.messages[index]?.type);
    }
  }
  expect([...seen].toSorted()).toEqual([...validators.keys()].toSorted());
});

it("describes every message that a server sends without a subprotocol, and no other", async () => {
  const client = await messages.openRaw();
  await messages.add("messages", "acme", "inserted");
  await messages.server.database.query("update messages set body = 'updated'");
  await messages.server.database.query("delete from messages");
  await client.waitForTexts(3);
  const validators = validatorsOf("raw");
  expect(namesOf(client, validators)).toEqual(["change", "change", "change"]);
  expect([...validators.keys()]).toEqual(["change"]);
});

it("is strict: a member more or less, or another type, is noticed", () => {
  const [change] = validatorsOf("raw").values();
  const good = { type: "insert", collection: "messages", data: {} };
  expect(change?.(good)).toBe(true);
  expect(change?.({ ...good, documentId: "1" })).toBe(false);
  expect(change?.({ ...good, type: "replace" })).toBe(false);
  expect(change?.({ type: "insert", data: {} })).toBe(false);
});
