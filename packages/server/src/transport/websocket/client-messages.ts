import { RealtimeError, type ClientMessage } from "@paperdb/protocol";
import { z } from "zod";

const MAX_ID_LENGTH = 128;
/** Longer than any name of a table with its schema, or of a MongoDB collection. */
const MAX_COLLECTION_LENGTH = 512;
/** Of what a client has sent in vain it is told so much again. */
const MAX_ECHOED_LENGTH = 100;

const text = (maxLength?: number): z.ZodString => {
  const schema = z.string({ error: "must be a string" }).min(1, { error: "must not be empty" });
  return maxLength === undefined
    ? schema
    : schema.max(maxLength, { error: `must have ${maxLength} characters at most` });
};

const subscriptionId = text(MAX_ID_LENGTH).describe("Chosen by the client, unique on its connection");

export const subscribeMessageSchema = z
  .strictObject({
    type: z.literal("subscribe"),
    id: subscriptionId,
    collection: text(MAX_COLLECTION_LENGTH)
      .exactOptional()
      .describe("The collection whose changes to receive"),
    topic: text()
      .exactOptional()
      .describe("The topic or pattern whose events to receive: `order.*` one segment, `order.>` the rest"),
    cursor: text().exactOptional().describe("Where to go on: of the last `ready`, `event` or `heartbeat`"),
    where: z
      .unknown()
      .exactOptional()
      .describe('A filter: only documents of the collection that match, as `{"room":"42"}`'),
    snapshot: z
      .boolean({ error: "must be true or false" })
      .exactOptional()
      .describe("Whether the documents of a collection come first; a usable cursor wins"),
  })
  .describe("Starts a subscription. Exactly one of `collection` and `topic` is given.");

export const unsubscribeMessageSchema = z
  .strictObject({ type: z.literal("unsubscribe"), id: subscriptionId })
  .describe("Ends a subscription. Nothing is answered; an unknown id is ignored.");

export const authMessageSchema = z
  .strictObject({ type: z.literal("auth"), token: text().describe("A realtime token of the same tenant") })
  .describe("A fresh token, before the connection's own expires. Nothing is answered when it is good.");

/** What came from a client, as far as it could be read. */
export type ReceivedMessage =
  | { readonly kind: "message"; readonly message: ClientMessage }
  /** It is refused; the connection goes on. */
  | { readonly kind: "refused"; readonly error: RealtimeError; readonly id: string | undefined }
  /** It is no message of the protocol: the connection ends. */
  | { readonly kind: "violation"; readonly error: RealtimeError };

const SCHEMAS = {
  subscribe: subscribeMessageSchema,
  unsubscribe: unsubscribeMessageSchema,
  auth: authMessageSchema,
};

/** Reads one message of a `paperdb.v1` client. */
export function readClientMessage(data: Buffer, isBinary: boolean): ReceivedMessage {
  if (isBinary) return violation("The message is binary: send JSON objects as text messages.");
  const value = parseJson(data);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return violation("The message is no JSON object.");
  }
  const type = "type" in value ? value.type : undefined;
  if (!isMessageType(type)) {
    return violation(`"type" of the message must be one of ${Object.keys(SCHEMAS).join(", ")}.`);
  }
  const result = SCHEMAS[type].safeParse(value);
  if (result.success) return { kind: "message", message: result.data };
  // Only of a subscribe: an error with the id of another message would end a subscription that goes on.
  const named = type === "subscribe" && "id" in value ? value.id : undefined;
  return { kind: "refused", error: explain(type, result.error), id: subscriptionId.safeParse(named).data };
}

function isMessageType(type: unknown): type is ClientMessage["type"] {
  return typeof type === "string" && Object.hasOwn(SCHEMAS, type);
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined; // No object either: answered as such.
  }
}

function violation(sentence: string): ReceivedMessage {
  return { kind: "violation", error: new RealtimeError("invalid_request", sentence) };
}

function explain(type: string, { issues: [first] }: z.ZodError): RealtimeError {
  if (first?.code === "unrecognized_keys") {
    const names = first.keys.map((key) => JSON.stringify(key)).join(", ");
    const some = names.length > MAX_ECHOED_LENGTH ? `${names.slice(0, MAX_ECHOED_LENGTH)}…` : names;
    return new RealtimeError("invalid_request", `The ${type} message takes no ${some}: leave it out.`);
  }
  const field = first?.path.map(String).join(".") ?? "";
  return new RealtimeError(
    "invalid_request",
    `"${field}" of the ${type} message ${first?.message ?? "is not valid"}.`,
  );
}
