import { isTopicPattern, RealtimeError, type SubscribeMessage } from "@paperdb/protocol";
import { requireCollection, requireTopic, type Grant } from "../../auth/grant.ts";

/** What is subscribed to. */
export type Subject =
  | { readonly kind: "collection"; readonly collection: string }
  | { readonly kind: "topic"; readonly pattern: string };

/** @throws {RealtimeError} naming the field that is wrong. */
export function subjectOf(message: SubscribeMessage): Subject {
  const { collection, topic } = message;
  if (message.where !== undefined) {
    throw new RealtimeError(
      "filter_not_supported",
      '"where" is not available in this version. Leave it out.',
    );
  }
  if (message.snapshot === true) {
    throw new RealtimeError(
      "snapshot_not_supported",
      '"snapshot" is not available in this version. Fetch the documents after "ready".',
    );
  }
  if (collection !== undefined && topic !== undefined) {
    throw new RealtimeError("invalid_request", 'Give either "collection" or "topic", not both.');
  }
  if (collection !== undefined) return { kind: "collection", collection };
  if (topic === undefined) throw new RealtimeError("invalid_request", 'Give "collection" or "topic".');
  if (!isTopicPattern(topic)) {
    throw new RealtimeError(
      "invalid_topic",
      '"topic" takes segments of letters, digits, "_" and "-", joined by dots; "*" stands for one segment, a last ">" for the rest.',
    );
  }
  return { kind: "topic", pattern: topic };
}

/** The same for subjects whose events are the same. */
export function subjectKey(subject: Subject): string {
  return subject.kind === "collection" ? `collection ${subject.collection}` : `topic ${subject.pattern}`;
}

/** @throws {RealtimeError} `forbidden`. */
export function requireSubject(grant: Grant, subject: Subject): void {
  if (subject.kind === "collection") requireCollection(grant, subject.collection);
  else requireTopic(grant, subject.pattern);
}
