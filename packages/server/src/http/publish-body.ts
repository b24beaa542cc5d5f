import { isTopic, RealtimeError } from "@paperdb/protocol";
import { z } from "zod";
import { invalidInput } from "./problem.ts";

/** The body of a publish request. */
export const publishBodySchema = z.strictObject({
  topic: z.string({ error: "is missing: a dot-separated name, as text" }),
  data: z.unknown().describe("Any JSON value"),
});

/** An event to publish. */
export interface PublishBody {
  readonly topic: string;
  readonly data: unknown;
}

/** @throws {RealtimeError} naming the member that is wrong. */
export function readPublishBody(body: unknown): PublishBody {
  const { topic, data } = isTopicAndData(body) ? body : explain(body);
  requireTopic(topic);
  if (data === undefined) {
    throw new RealtimeError("invalid_request", '"data" in the body is missing: give any JSON value.');
  }
  return { topic, data };
}

/** What the schema says, in a fraction of its time. */
function isTopicAndData(body: unknown): body is PublishBody {
  if (typeof body !== "object" || body === null || !("topic" in body)) return false;
  for (const name in body) if (name !== "topic" && name !== "data") return false;
  return typeof body.topic === "string";
}

function explain(body: unknown): PublishBody {
  const read = publishBodySchema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw invalidInput("body", issue?.path.join(".") ?? "", issue?.message);
}

function requireTopic(topic: string): void {
  if (isTopic(topic)) return;
  const wildcard = /[*>]/.test(topic);
  throw new RealtimeError(
    "invalid_topic",
    wildcard
      ? '"topic" has a wildcard. An event is published to one topic: name it in full.'
      : '"topic" takes segments of letters, digits, "_" and "-", joined by dots, 256 characters at most.',
  );
}
