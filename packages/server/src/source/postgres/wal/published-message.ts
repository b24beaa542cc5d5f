import { isTopic } from "@paperdb/protocol";
import type { JsonText } from "@paperdb/protocol";
import { documentJson } from "../../document-json.ts";
import { jsonMembers } from "./json-members.ts";

/** The prefix of logical messages that are events for the bus. */
export const PUBLISH_PREFIX = "paperdb";

/** The prefix of our own messages, which mark a place in the stream. */
export const BARRIER_PREFIX = "paperdb.barrier";

/** The largest data of one event, as `paperdb.publish` has it. */
const MAX_DATA_BYTES = 1_048_576;
/** With tenant, topic and blanks. What is larger is not looked at: any role can emit up to a gigabyte. */
const MAX_MESSAGE_BYTES = MAX_DATA_BYTES + 65_536;

/** What can be a tenant: 1 to 200 code points without control characters and halves of characters. */
const TENANT_ID = /^[^\p{Cc}\p{Cs}]{1,200}$/u;

/** An event that was published in a transaction. */
export interface PublishedMessage {
  readonly tenant: string;
  readonly topic: string;
  readonly data: JsonText;
}

/**
 * Reads `{"tenant","topic","data"}`.
 *
 * @returns undefined for whatever is no event: any role can emit messages.
 */
export function parsePublished(content: Buffer): PublishedMessage | undefined {
  if (content.length > MAX_MESSAGE_BYTES) return undefined;
  let members: ReadonlyMap<string, string>;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    JSON.parse(text);
    members = jsonMembers(text);
  } catch {
    return undefined; // Not UTF-8, or not JSON: the caller counts it.
  }
  const tenant = stringOf(members.get("tenant"));
  const topic = stringOf(members.get("topic"));
  const data = members.get("data");
  if (tenant === undefined || topic === undefined || data === undefined || members.size !== 3) {
    return undefined;
  }
  if (!TENANT_ID.test(tenant) || !isTopic(topic) || Buffer.byteLength(data) > MAX_DATA_BYTES)
    return undefined;
  return { tenant, topic, data: documentJson(data) };
}

function stringOf(json: string | undefined): string | undefined {
  const value: unknown = json === undefined ? undefined : JSON.parse(json);
  return typeof value === "string" ? value : undefined;
}
