import { CLOSE_CODES, SUBPROTOCOL } from "@paperdb/protocol";
import { z } from "zod";
import { VERSION } from "../../version.ts";
import { authMessageSchema, subscribeMessageSchema, unsubscribeMessageSchema } from "./client-messages.ts";
import {
  errorMessageSchema,
  eventMessageSchema,
  heartbeatMessageSchema,
  rawMessageSchema,
  readyMessageSchema,
  resetMessageSchema,
  snapshotMessageSchema,
} from "./server-messages.ts";

const RAW_MESSAGES = { change: rawMessageSchema };
const V1_CLIENT_MESSAGES = {
  subscribe: subscribeMessageSchema,
  unsubscribe: unsubscribeMessageSchema,
  auth: authMessageSchema,
};
const V1_SERVER_MESSAGES = {
  ready: readyMessageSchema,
  snapshot: snapshotMessageSchema,
  event: eventMessageSchema,
  reset: resetMessageSchema,
  error: errorMessageSchema,
  heartbeat: heartbeatMessageSchema,
};

const HANDSHAKE = {
  ws: {
    method: "GET",
    query: {
      type: "object",
      properties: {
        token: {
          type: "string",
          description: "A realtime token; the header `Authorization: Bearer` wins",
        },
      },
    },
    bindingVersion: "0.1.0",
  },
};

type Schemas = Readonly<Record<string, z.ZodType>>;

/**
 * Both forms of the WebSocket protocol, as AsyncAPI 3.0, made from the schemas that validate.
 *
 * https://www.asyncapi.com/docs/reference/specification/v3.0.0
 */
export function renderAsyncApi(): Readonly<Record<string, unknown>> {
  const codes = Object.entries(CLOSE_CODES).map(([reason, code]) => `${code} ${reason}`);
  return {
    asyncapi: "3.0.0",
    info: {
      title: "PaperDB Realtime over WebSocket",
      version: VERSION,
      description: `Close codes: ${codes.join(", ")}. After 4000–4099 a client must change something before it comes back.`,
      license: { name: "MIT" },
    },
    defaultContentType: "application/json",
    servers: {
      production: {
        host: "realtime.example.com",
        protocol: "wss",
        security: [{ $ref: "#/components/securitySchemes/token" }],
      },
    },
    channels: {
      raw: channel("Without a subprotocol: the changes of every collection of the token", RAW_MESSAGES),
      v1: channel(`Subprotocol ${SUBPROTOCOL}`, { ...V1_CLIENT_MESSAGES, ...V1_SERVER_MESSAGES }),
    },
    operations: {
      sendChanges: operation("raw", "send", RAW_MESSAGES),
      receiveRequests: operation("v1", "receive", V1_CLIENT_MESSAGES),
      sendMessages: operation("v1", "send", V1_SERVER_MESSAGES),
    },
    components: {
      messages: Object.fromEntries(
        Object.entries({ ...RAW_MESSAGES, ...V1_CLIENT_MESSAGES, ...V1_SERVER_MESSAGES }).map(
          ([name, schema]) => [name, message(name, schema)],
        ),
      ),
      securitySchemes: {
        token: { type: "httpApiKey", in: "query", name: "token", description: "From POST /realtime/token" },
      },
    },
  };
}

function channel(title: string, messages: Schemas): unknown {
  const references = Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]);
  return { address: "/realtime", title, messages: Object.fromEntries(references), bindings: HANDSHAKE };
}

function operation(of: string, action: "send" | "receive", messages: Schemas): unknown {
  return {
    action,
    channel: { $ref: `#/channels/${of}` },
    messages: Object.keys(messages).map((name) => ({ $ref: `#/channels/${of}/messages/${name}` })),
  };
}

function message(name: string, schema: z.ZodType): unknown {
  const { $schema: _, description, ...payload } = z.toJSONSchema(schema, { target: "draft-7" });
  return { name, summary: description, payload };
}
