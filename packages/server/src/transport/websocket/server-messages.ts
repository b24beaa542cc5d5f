import {
  ERRORS,
  type ErrorCode,
  type ErrorMessage,
  type EventMessage,
  type HeartbeatMessage,
  type RawMessage,
  type ReadyMessage,
  type ResetMessage,
  type SnapshotMessage,
} from "@paperdb/protocol";
import { z } from "zod";

const subscriptionId = z.string().describe("The subscription's, as the client has chosen it");
const channel = z.string().describe("The server's short name for what is subscribed to; see `ready`");
const cursor = z.string().describe("Where the subscription stands; opaque, to be sent in `subscribe`");

const change = {
  type: z.enum(["insert", "update", "delete"]),
  collection: z.string(),
  data: z.unknown().describe("The full document; of a delete, the prior document"),
};

/** {@link RawMessage} */
export const rawMessageSchema: z.ZodType<RawMessage> = z
  .strictObject(change)
  .describe("A change, as connections without a subprotocol get it.");

/** {@link ReadyMessage} */
export const readyMessageSchema: z.ZodType<ReadyMessage> = z
  .strictObject({
    type: z.literal("ready"),
    id: subscriptionId,
    channel,
    cursor,
    resumed: z.boolean().describe("Whether it goes on from the client's cursor: what was missed follows"),
  })
  .describe("The subscription is live: every change that commits from now on arrives.");

/** {@link SnapshotMessage} */
export const snapshotMessageSchema: z.ZodType<SnapshotMessage> = z
  .strictObject({
    type: z.literal("snapshot"),
    id: subscriptionId,
    channel,
    documents: z.array(z.unknown()),
    documentIds: z.array(z.string()).describe("Of each document, in the same order"),
  })
  .describe(
    "Some of the documents, before `ready`; the message comes at least once where they are asked for.",
  );

/** {@link EventMessage} */
export const eventMessageSchema: z.ZodType<EventMessage> = z
  .strictObject({
    type: z.literal("event"),
    channel,
    cursor: cursor.exactOptional().describe("Absent before `ready`, within a snapshot"),
    event: z.union([
      z
        .strictObject({
          ...change,
          documentId: z.string().describe("The primary key as text; a composite key is a JSON array as text"),
        })
        .describe("A change of a collection"),
      z.strictObject({ topic: z.string(), data: z.unknown() }).describe("An event of the event bus"),
    ]),
  })
  .describe("One change of a collection, or one event of a topic.");

/** {@link ResetMessage} */
export const resetMessageSchema: z.ZodType<ResetMessage> = z
  .strictObject({ type: z.literal("reset"), id: subscriptionId, reason: z.string() })
  .describe(
    "Changes may have been missed: what the client holds is void. `ready` follows, after a snapshot where one was asked for.",
  );

/** {@link ErrorMessage} */
export const errorMessageSchema: z.ZodType<ErrorMessage> = z
  .strictObject({
    type: z.literal("error"),
    id: subscriptionId.exactOptional(),
    code: z.enum(Object.keys(ERRORS).filter(isErrorCode)),
    message: z.string().describe("A sentence for the developer"),
    retryable: z.boolean().describe("Whether the same request may succeed later"),
  })
  .describe("Something was refused. With an `id`: that subscription is over, or never began.");

/** {@link HeartbeatMessage} */
export const heartbeatMessageSchema: z.ZodType<HeartbeatMessage> = z
  .strictObject({
    type: z.literal("heartbeat"),
    cursors: z.record(z.string(), z.string()).describe("Channel → cursor"),
  })
  .describe("Where quiet subscriptions stand.");

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}
