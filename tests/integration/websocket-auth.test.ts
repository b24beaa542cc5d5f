import { expect, it } from "vitest";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";

const COLLECTIONS = ["messages", "notifications"];

it("a client whose grants change faster than channels open waits for them", async () => {
  const messages = await MessagesServer.start({
    websocket: { maxSubscriptions: COLLECTIONS.length },
    notify: { installTimeoutMs: 60_000 },
  });
  const locker = await messages.server.database.pool.connect();
  try {
    const client = await messages.open();
    for (const collection of COLLECTIONS) await client.subscribe(collection, { collection });
    const other = await messages.open();
    const tokens = await Promise.all([1, 2, 3].map((id) => mintFor(messages, id)));
    // The first filter of a table takes its lock.
    await locker.query(`begin; lock table ${COLLECTIONS.join()} in access exclusive mode`);
    // Where tokens open nothing again, what is asked for behind them is answered.
    sendAll(client, tokens);
    sendAll(other, tokens);
    await other.waitFor("error");
    expect(client.ofType("error")).toEqual([]);
    await locker.query("rollback");
    await client.waitFor("error");
    await until(() => COLLECTIONS.every((id) => isReadyAnew(client, id)), {
      describe: () => JSON.stringify(client.messages),
    });
    await messages.add("messages", "acme", "seen");
    await client.waitFor("event");
  } finally {
    locker.release(true);
    await messages.close();
  }
});

/** A token that shows the same as any other, by a filter of its own. */
function mintFor(messages: MessagesServer, id: number): Promise<string> {
  const where = { body: { $ne: `no body ${id}` } };
  return messages.mint({
    collections: COLLECTIONS,
    filters: Object.fromEntries(COLLECTIONS.map((collection) => [collection, where])),
  });
}

/** Renews with each, and then asks for what is refused. */
function sendAll(client: WebSocketClient, tokens: readonly string[]): void {
  for (const token of tokens) client.send({ type: "auth", token });
  client.send({ type: "subscribe", id: "none", topic: "not granted" });
}

function isReadyAnew(client: WebSocketClient, id: string): boolean {
  const own = client.messages.filter((message) => "id" in message && message.id === id);
  return own.at(-1)?.type === "ready" && own.some(({ type }) => type === "reset");
}
