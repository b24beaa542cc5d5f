import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { promisify } from "node:util";
import { SEQUENCE_PLACEHOLDER, type FanOutPeer, type PublishProtocol } from "../support/fan-out-server.ts";
import { EVENT_DATA } from "../support/fan-out-event.ts";
import { startProduct } from "./product.ts";

const run = promisify(execFile);
const PATH = "/.well-known/mercure";
const TOPIC = "events";
const PUBLISHER_KEY = "of a hub that lives for one benchmark, on one machine";

/** Mercure 0.x, by a binary of the user's. */
export const mercure: FanOutPeer = {
  name: "mercure",
  transports: ["sse"],
  prepare: reasonAgainst,
  async start(transport, place) {
    const server = await startProduct(
      {
        program: process.env["MERCURE_BIN"] ?? "mercure",
        args: (file) => ["run", "--config", file, "--adapter", "caddyfile"],
        configName: "Caddyfile",
        ports: ["http"],
        config: ({ http }: { readonly http: number }) => configOf(http),
      },
      place,
    );
    const { http: port } = server.ports;
    const request = `GET ${PATH}?topic=${TOPIC} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: text/event-stream\r\n\r\n`;
    return {
      name: "Mercure",
      transport,
      pids: [server.pid],
      port,
      // It answers once the subscriber is registered.
      greeting: [{ send: Buffer.from(request), until: "\r\n\r\n" }],
      chunked: true,
      publish: publishing(port),
      close: () => server.close(),
    };
  },
};

async function reasonAgainst(): Promise<string | undefined> {
  const program = process.env["MERCURE_BIN"];
  if (program === undefined) return "`MERCURE_BIN` is not set";
  const { stdout } = await run(program, ["version"]);
  return /\bv1\./.test(stdout) ? "`MERCURE_BIN` is version 1, and this speaks to 0.x" : undefined;
}

/** In its fastest form: without a store for the history. */
function configOf(port: number): string {
  return `{
  auto_https off
  admin off
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
  mercure {
    publisher_jwt "${PUBLISHER_KEY}"
    anonymous
    transport local
    write_timeout 0s
  }
  respond "Not Found" 404
}
`;
}

function publishing(port: number): PublishProtocol {
  const [before = "", after = ""] = EVENT_DATA.split(SEQUENCE_PLACEHOLDER);
  const data = encodeURIComponent(before) + SEQUENCE_PLACEHOLDER + encodeURIComponent(after);
  const body = `topic=${TOPIC}&data=${data}`;
  const head = [
    `POST ${PATH} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    `authorization: Bearer ${publisherToken()}`,
    "content-type: application/x-www-form-urlencoded",
    `content-length: ${body.length}`,
  ];
  const request = Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
  return { port, greeting: [], request, answer: "HTTP/1.1 200" };
}

function publisherToken(): string {
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ mercure: { publish: ["*"] } })}`;
  return `${signed}.${createHmac("sha256", PUBLISHER_KEY).update(signed).digest("base64url")}`;
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
