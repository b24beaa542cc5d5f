import { UnsecuredJWT, decodeJwt } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MessagesServer, TOKEN_SECRET } from "../support/messages-server.ts";
import { replacePart, signLike } from "../support/realtime-token.ts";
import { until } from "../support/until.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start({ plans: { pro: { maxConnections: 3 } } });
});

afterEach(async () => {
  messages.closeClients();
  await messages.waitForNoConnections();
});

afterAll(() => messages.close());

/** A token like a good one of acme's, but for some claims. */
async function forged(claims: Record<string, unknown>, secret = TOKEN_SECRET): Promise<string> {
  return signLike(await messages.mint(), secret, { claims });
}

/** What the rows of all events say, whichever form the client speaks. */
function bodiesOf(client: WebSocketClient): Set<string> {
  return new Set(client.texts.flatMap((text) => /"body":"([^"]*)"/.exec(text)?.[1] ?? []));
}

describe("a token that is not good", () => {
  const tokens: [string, () => Promise<string>, string][] = [
    ["signed with another secret", () => forged({}, `${TOKEN_SECRET}!`), "token_invalid"],
    ["for another audience", () => forged({ aud: "elsewhere" }), "token_invalid"],
    ["of another issuer", () => forged({ iss: "elsewhere" }), "token_invalid"],
    ["of another tenant than its key's", () => forged({ tenant: "other" }), "token_invalid"],
    ["that has expired", () => forged({ exp: Math.floor(Date.now() / 1000) - 1 }), "token_expired"],
    [
      "with algorithm none",
      async () => new UnsecuredJWT(decodeJwt(await messages.mint())).encode(),
      "token_invalid",
    ],
    [
      "with changed collections",
      async () => replacePart(await messages.mint({ collections: ["messages"] }), 1, widen),
      "token_invalid",
    ],
  ];
  const widen = (claims: string): string => claims.replace('"messages"', '"notifications"');

  it.each(tokens)("%s is refused before the upgrade, in both forms", async (_name, token, code) => {
    for (const protocol of ["paperdb.v1", undefined]) {
      const refusal = await WebSocketClient.refused(messages.url, { token: await token(), protocol });
      expect(refusal).toMatchObject({ status: 401, code });
      expect(refusal.body).not.toContain("eyJ");
    }
  });

  it.each(tokens)("%s as auth closes the connection with 4001", async (_name, token) => {
    const client = await messages.open();
    await client.subscribe("a", { collection: "messages" });
    client.send({ type: "auth", token: await token() });
    const { code, reason } = await client.waitForClose();
    expect(code).toBe(4001);
    expect(reason).not.toContain("eyJ");
  });
});

describe("a token", () => {
  it("for messages never yields notifications, nor another tenant's messages, in both forms", async () => {
    const token = await messages.mint({ collections: ["messages"] });
    const theirs = await messages.mint({ collections: ["messages", "notifications"] }, messages.other);
    const mine = await messages.open({ token });
    await mine.subscribe("m", { collection: "messages" });
    mine.send({ type: "subscribe", id: "n", collection: "notifications" });
    mine.send({ type: "subscribe", id: "t", topic: "messages" });
    await mine.waitFor("error", 2);
    expect(mine.ofType("error").map(({ id, code }) => [id, code])).toEqual([
      ["n", "forbidden"],
      ["t", "forbidden"],
    ]);
    const raw = await messages.openRaw(token);
    const others = await messages.openRaw(theirs);
    for (let round = 0; round < 10; round += 1) {
      await messages.add("notifications", "acme", "not in the token");
      await messages.add("messages", "other", "theirs");
      await messages.add("messages", "acme", "mine", "mine");
    }
    await mine.waitFor("event", 20);
    await raw.waitForTexts(20);
    await others.waitForTexts(10);
    expect([...bodiesOf(mine)]).toEqual(["mine"]);
    expect([...bodiesOf(raw)]).toEqual(["mine"]);
    expect([...bodiesOf(others)]).toEqual(["theirs"]);
    expect([raw.texts.length, others.texts.length]).toEqual([20, 10]);
  });

  it("does not reach another tenant by its cursor", async () => {
    const theirs = await messages.open({
      token: await messages.mint({ collections: ["messages"] }, messages.other),
    });
    const { cursor } = await theirs.subscribe("a", { collection: "messages" });
    await messages.add("messages", "other", "theirs");
    await theirs.waitFor("event");
    const mine = await messages.open();
    await mine.subscribe("a", { collection: "messages" }, cursor);
    await messages.add("messages", "acme", "mine");
    await mine.waitFor("event");
    expect([...bodiesOf(mine)]).toEqual(["mine"]);
  });

  it("covers topics by its patterns", async () => {
    const client = await messages.open({ token: await messages.mint({ topics: ["order.*"] }) });
    const { channel } = await client.subscribe("a", { topic: "order.created" });
    for (const topic of [">", "order.>", "user.created", "order.a.b"]) {
      client.send({ type: "subscribe", id: topic, topic });
    }
    client.send({ type: "subscribe", id: "m", collection: "messages" });
    await client.waitFor("error", 5);
    expect(new Set(client.ofType("error").map(({ code }) => code))).toEqual(new Set(["forbidden"]));
    await messages.publish("order.created", "theirs", messages.other);
    await messages.publish("order.paid", 1);
    await messages.publish("order.created", 2);
    await client.waitFor("event");
    expect(client.events(channel)).toEqual([{ topic: "order.created", data: 2 }]);
    expect(client.events()).toHaveLength(1);
  });

  it("that expires ends the connection with 4001, in both forms", async () => {
    const token = await messages.mint({ collections: ["messages"], expiresIn: 6 });
    const expiresAtMs = (decodeJwt(token).exp ?? 0) * 1000;
    const client = await messages.open({ token });
    const raw = await messages.openRaw(token);
    for (const each of [client, raw]) {
      expect((await each.waitForClose()).code).toBe(4001);
      // A timer may be a little early.
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs - 100);
    }
    const refusal = await WebSocketClient.refused(messages.url, { token });
    expect(refusal).toMatchObject({ status: 401, code: "token_expired" });
  });

  it("is followed by a fresh one: the connection goes on beyond the first one's end", async () => {
    const client = await messages.open({
      token: await messages.mint({ collections: ["messages"], expiresIn: 6 }),
    });
    const brief = await messages.open({
      token: await messages.mint({ collections: ["messages"], expiresIn: 6 }),
    });
    const { channel } = await client.subscribe("a", { collection: "messages" });
    client.send({ type: "auth", token: await messages.mint({ collections: ["messages"] }) });
    expect((await brief.waitForClose()).code).toBe(4001);
    await messages.add("messages", "acme", "still here");
    await client.waitFor("event");
    expect(client.events(channel)).toHaveLength(1);
    expect(client.closed).toBeUndefined();
  });

  it("is followed by a shorter one: the connection ends with that", async () => {
    const client = await messages.open();
    client.send({ type: "auth", token: await messages.mint({ collections: ["messages"], expiresIn: 1 }) });
    expect((await client.waitForClose()).code).toBe(4001);
  });

  it("is followed by one that grants other things: what it does not grant ends, what it adds is there", async () => {
    const client = await messages.open({
      token: await messages.mint({ collections: ["messages"], topics: ["order.*"] }),
    });
    await client.subscribe("m", { collection: "messages" });
    await client.subscribe("o", { topic: "order.*" });
    await client.subscribe("c", { topic: "order.created" });
    // In one go: each message is judged by the token before it.
    client.send({ type: "subscribe", id: "early", collection: "notifications" });
    client.send({
      type: "auth",
      token: await messages.mint({ collections: ["notifications"], topics: ["order.created"] }),
    });
    client.send({ type: "subscribe", id: "m2", collection: "messages" });
    const ready = await client.subscribe("n", { collection: "notifications" });
    await client.waitFor("error", 4);
    expect(client.ofType("error").map(({ id, code }) => [id, code])).toEqual([
      ["early", "forbidden"],
      ["m", "forbidden"],
      ["o", "forbidden"],
      ["m2", "forbidden"],
    ]);
    await messages.add("messages", "acme", "not granted any more");
    await messages.publish("order.paid", 1);
    await messages.publish("order.created", 2);
    await messages.add("notifications", "acme", "granted now");
    await client.waitFor("event", 2);
    expect(client.events()).toHaveLength(2);
    expect(client.events(ready.channel)).toHaveLength(1);
    expect([...bodiesOf(client)]).toEqual(["granted now"]);
  });

  it("of another tenant as auth closes the connection with 4003", async () => {
    const client = await messages.open();
    client.send({ type: "auth", token: await messages.mint({ collections: ["messages"] }, messages.other) });
    expect((await client.waitForClose()).code).toBe(4003);
  });

  it("counts against the plan's connections, which a 429 says", async () => {
    const token = await messages.mint();
    for (let index = 0; index < 3; index += 1) await messages.open({ token });
    const refusal = await WebSocketClient.refused(messages.url, { token });
    expect(refusal).toMatchObject({ status: 429, code: "too_many_connections" });
    expect(refusal.headers["retry-after"]).toBe("5");
    expect(refusal.detail).toContain("3");
    messages.closeClients();
    await messages.waitForNoConnections();
    await messages.open({ token });
  });
});

describe("a token dies", () => {
  it("with the key that minted it, and also one that an auth brought", async () => {
    const { server } = messages;
    const { id, key } = await server.createKey("acme", { role: "secret" });
    const collections = ["messages"];
    const token = await messages.mint({ collections }, { ...messages.acme, secretKey: key });
    const client = await messages.open({ token });
    await client.subscribe("a", { collection: "messages" });
    const raw = await messages.openRaw(token);
    const renewed = await messages.open();
    renewed.send({ type: "auth", token });
    await renewed.subscribe("a", { collection: "messages" });
    expect((await server.admin("DELETE", `tenants/acme/keys/${id}`)).status).toBe(204);
    for (const each of [client, raw, renewed]) expect((await each.waitForClose()).code).toBe(4001);
    const refusal = await WebSocketClient.refused(messages.url, { token });
    expect(refusal).toMatchObject({ status: 401, code: "key_revoked" });
  });

  it("with its predecessor's key only until an auth has brought another", async () => {
    const { server } = messages;
    const { id, key } = await server.createKey("acme", { role: "secret" });
    const client = await messages.open({
      token: await messages.mint({ collections: ["messages"] }, { ...messages.acme, secretKey: key }),
    });
    const bystander = await messages.open({
      token: await messages.mint({ collections: ["messages"] }, { ...messages.acme, secretKey: key }),
    });
    client.send({ type: "auth", token: await messages.mint() });
    await client.subscribe("a", { collection: "messages" });
    await server.admin("DELETE", `tenants/acme/keys/${id}`);
    expect((await bystander.waitForClose()).code).toBe(4001);
    await messages.add("messages", "acme", "goes on");
    await client.waitFor("event");
    expect(client.closed).toBeUndefined();
  });

  it("with the tenant's plan, which ends its connections and no others", async () => {
    const { server, other } = messages;
    const collections = ["messages"];
    const token = await messages.mint({ collections }, other);
    const theirs = await messages.open({ token });
    await theirs.subscribe("a", { collection: "messages" });
    const theirRaw = await messages.openRaw(token);
    const mine = await messages.open();
    await mine.subscribe("a", { collection: "messages" });
    await server.admin("PATCH", "tenants/other", { plan: "free" });
    for (const each of [theirs, theirRaw]) expect((await each.waitForClose()).code).toBe(4001);
    const refusal = await WebSocketClient.refused(messages.url, { token });
    expect(refusal).toMatchObject({ status: 403, code: "plan_required" });
    await messages.add("messages", "acme", "goes on");
    await mine.waitFor("event");
    await server.admin("PATCH", "tenants/other", { plan: "pro" });
    await until(() =>
      WebSocketClient.open(messages.url, { token }).then(
        (client) => {
          client.close();
          return true;
        },
        () => false,
      ),
    );
  });
});
