import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PaperDBError } from "./paperdb-error.ts";
import { resolveSettings } from "./settings.ts";
import type { Target } from "./subscription.ts";
import { fetchToken, mintToken } from "./token-source.ts";
import type { GetToken } from "./types.ts";

interface Asked {
  readonly collections?: string[];
  readonly topics?: string[];
}
type Answer = readonly [status: number, body: unknown];

let server: Server;
let url: string;
let asked: Asked[];
let requested: unknown[];
let answer: (asked: Asked) => Answer | undefined;

const granted: Answer = [200, { token: "minted" }];
const signal = new AbortController().signal;

function problem(status: number, code: string): Answer {
  return [status, { code, detail: `about ${code}`, retryable: status >= 500 }];
}

function collections(...names: string[]): Target[] {
  return names.map((name) => ({ kind: "collection", name }));
}

function fetchFor(targets: readonly Target[]): ReturnType<typeof fetchToken> {
  return fetchToken(resolveSettings({ apiKey: "secret", baseUrl: `${url}/base/` }), targets, signal);
}

function fetchBy(getToken: unknown): ReturnType<typeof fetchToken> {
  return fetchToken(
    resolveSettings({ getToken: getToken as GetToken, baseUrl: url }),
    [...collections("a"), { kind: "topic", name: "t" }],
    signal,
  );
}

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      requested = [request.method, request.url, request.headers.authorization];
      const body: Asked = JSON.parse(Buffer.concat(chunks).toString());
      asked.push(body);
      const given = answer(body);
      if (given === undefined) request.socket.destroy();
      else {
        const [status, content] = given;
        response.writeHead(status, { "content-type": "application/json" });
        response.end(typeof content === "string" ? content : JSON.stringify(content));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  url = `http://127.0.0.1:${address.port}`;
});

beforeEach(() => {
  asked = [];
});

afterAll(() => server.close());

describe("with an API key", () => {
  it("mints one token for all", async () => {
    answer = () => granted;
    const targets: Target[] = [...collections("a", "b"), { kind: "topic", name: "t.>" }];
    expect(await fetchFor(targets)).toEqual({ text: "minted", refused: new Map() });
    expect(asked).toEqual([{ collections: ["a", "b"], topics: ["t.>"], permissions: ["read"] }]);
    expect(requested).toEqual(["POST", "/base/realtime/token", "Bearer secret"]);
  });

  it("finds the ones that are refused, and mints for the others", async () => {
    answer = ({ collections: names = [] }) =>
      names.includes("bad")
        ? problem(404, "collection_not_found")
        : names.includes("worse")
          ? problem(403, "forbidden")
          : granted;
    const targets = collections("a", "bad", "b", "worse");
    const { text, refused } = await fetchFor(targets);
    expect(text).toBe("minted");
    expect([...refused].map(([{ name }, { code, message }]) => [name, code, message])).toEqual([
      ["bad", "collection_not_found", "about collection_not_found"],
      ["worse", "forbidden", "about forbidden"],
    ]);
    expect(asked.at(-1)?.collections).toEqual(["a", "b"]);
  });

  it("refuses all where all are refused, and the last where there are too many", async () => {
    answer = () => problem(404, "collection_not_found");
    const all = await fetchFor(collections("a", "b"));
    expect([all.text, all.refused.size]).toEqual([undefined, 2]);
    answer = ({ collections: names = [] }) => (names.length > 2 ? problem(400, "invalid_request") : granted);
    const { text, refused } = await fetchFor(collections("a", "b", "c"));
    expect([text, [...refused.keys()].map(({ name }) => name)]).toEqual(["minted", ["c"]]);
  });

  it.each([
    [problem(401, "key_revoked"), "key_revoked", false],
    [problem(403, "plan_required"), "plan_required", false],
    [problem(503, "key_store_unavailable"), "key_store_unavailable", true],
    [[502, "<html>"] as Answer, "http_error", true],
    [[200, "{}"] as Answer, "http_error", false],
    [undefined, "network_error", true],
  ])("fails as a whole when it is not about one: %j", async (given, code, retryable) => {
    answer = () => given;
    await expect(fetchFor(collections("a", "b"))).rejects.toMatchObject({
      name: "PaperDBError",
      code,
      retryable,
    });
    expect(asked.length).toBe(1);
  });

  it("sends no empty list, so that what getToken is told can be passed on", async () => {
    answer = () => granted;
    const settings = resolveSettings({ apiKey: "secret", baseUrl: `${url}/base` });
    const filters = { a: { room: { $in: ["x", "y"] } } };
    await mintToken(settings, { collections: ["a"], topics: [], filters, expiresIn: 60 });
    expect(asked).toEqual([{ collections: ["a"], permissions: ["read"], filters, expiresIn: 60 }]);
  });

  it("stops when it is told to", async () => {
    const stopped = new AbortController();
    answer = () => {
      stopped.abort(new Error("enough"));
      return granted;
    };
    const settings = resolveSettings({ apiKey: "secret", baseUrl: `${url}/base` });
    await expect(mintToken(settings, { collections: ["a"], signal: stopped.signal })).rejects.toThrow(
      "enough",
    );
  });

  it("is needed to mint", async () => {
    const settings = resolveSettings({ getToken: () => "", baseUrl: url });
    await expect(mintToken(settings, { collections: ["a"] })).rejects.toMatchObject({
      code: "api_key_required",
    });
  });
});

describe("with getToken", () => {
  it("tells it what is needed", async () => {
    let need: unknown;
    const { text } = await fetchBy((given: unknown) => {
      need = given;
      return "theirs";
    });
    expect(text).toBe("theirs");
    expect(need).toEqual({ collections: ["a"], topics: ["t"], signal });
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("no session");
      },
      "token_failed",
      true,
    ],
    [
      "throws for good",
      () => {
        throw Object.assign(new Error("no session"), { retryable: false });
      },
      "token_failed",
      false,
    ],
    [
      "throws what is no error",
      () => {
        throw "nothing";
      },
      "token_failed",
      true,
    ],
    [
      "rejects with an error of ours",
      () => Promise.reject(new PaperDBError("plan_required", "x")),
      "plan_required",
      false,
    ],
    ["returns no text", () => undefined, "token_failed", true],
  ])("%s: says so", async (_what, getToken, code, retryable) => {
    await expect(fetchBy(getToken)).rejects.toMatchObject({ name: "PaperDBError", code, retryable });
  });
});
