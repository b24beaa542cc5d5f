import { beforeEach, describe, expect, it } from "vitest";
import { ConnectionRegistry, type ConnectionInfo, type RegisteredConnection } from "./connection-registry.ts";

let log: string[];

beforeEach(() => {
  log = [];
});

/** Notes why it is ended. */
function connection(id: string, tenant = "acme", keyId = "key"): RegisteredConnection {
  const info: ConnectionInfo = {
    id,
    tenant,
    keyId,
    transport: "websocket",
    collections: [],
    topics: [],
    remoteAddress: "",
    openedAt: "",
  };
  return { id, info, access: info, tenant, keyId, end: (reason) => log.push(`${id} ${reason}`) };
}

describe("the connections of a server", () => {
  it("are bounded for each tenant, and in all", () => {
    const registry = new ConnectionRegistry(3);
    const first = connection("1");
    registry.add(first, 2);
    registry.add(connection("2"), 2);
    const full = expect.objectContaining({ code: "too_many_connections" });
    expect(() => registry.add(connection("3"), 2)).toThrow(full);
    registry.add(connection("4", "other"), 2);
    expect(() => registry.add(connection("5", "other"), 2)).toThrow(full);
    registry.delete(first);
    registry.delete(first);
    registry.add(connection("6"), 2);
    expect(registry.size).toBe(3);
  });

  it("are ended one by one, or those that are meant", () => {
    const registry = new ConnectionRegistry(10);
    for (const each of [connection("1"), connection("2", "other"), connection("3", "other", "key 2")]) {
      registry.add(each, 10);
    }
    expect(registry.end("1", "admin")).toBe(true);
    expect(registry.end("unknown", "admin")).toBe(false);
    registry.endWhere(({ tenant }) => tenant === "other", "revoked");
    registry.endWhere(({ keyId }) => keyId === "key 2", "revoked");
    expect(log).toEqual(["1 admin", "2 revoked", "3 revoked", "3 revoked"]);
  });

  it("are all ended when the server shuts down, and none comes after them", () => {
    const registry = new ConnectionRegistry(10);
    registry.add(connection("1"), 10);
    registry.drain();
    expect(log).toEqual(["1 draining"]);
    expect(() => registry.add(connection("2"), 10)).toThrow(expect.objectContaining({ code: "draining" }));
    expect(registry.size).toBe(1);
  });
});
