import { isTopicPattern, RealtimeError, type SubscribeMessage } from "@paperdb/protocol";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { Filter } from "../../filter/filter.ts";
import { parseFilter } from "../../filter/parse-filter.ts";
import { requireCollection, requireTopic, type Grant } from "../../auth/grant.ts";
import { documentScope, type DocumentScope } from "../document-scope.ts";

/** What is subscribed to. */
export type Subject =
  | { readonly kind: "collection"; readonly collection: string; readonly where?: Filter | undefined }
  | { readonly kind: "topic"; readonly pattern: string };

/** @throws {RealtimeError} naming the field that is wrong. */
export function subjectOf(message: SubscribeMessage, filterLimits: FilterLimits): Subject {
  const { collection, topic, where } = message;
  if (message.snapshot === true && topic !== undefined) {
    throw new RealtimeError(
      "snapshot_not_supported",
      'A topic has no documents: leave "snapshot" out, or subscribe to a collection.',
    );
  }
  if (collection !== undefined && topic !== undefined) {
    throw new RealtimeError("invalid_request", 'Give either "collection" or "topic", not both.');
  }
  if (topic !== undefined && where !== undefined) {
    throw new RealtimeError(
      "invalid_request",
      '"where" filters the documents of a collection. Leave it out, and use a pattern to choose topics.',
    );
  }
  if (collection !== undefined) {
    return { kind: "collection", collection, where: parseWhere(where, filterLimits) };
  }
  if (topic === undefined) throw new RealtimeError("invalid_request", 'Give "collection" or "topic".');
  if (!isTopicPattern(topic)) {
    throw new RealtimeError(
      "invalid_topic",
      '"topic" takes segments of letters, digits, "_" and "-", joined by dots; "*" stands for one segment, a last ">" for the rest.',
    );
  }
  return { kind: "topic", pattern: topic };
}

/** Whether the events of both are the same. */
export function isSameSubject(one: Subject, other: Subject): boolean {
  if (one.kind === "topic") return other.kind === "topic" && one.pattern === other.pattern;
  if (other.kind === "topic" || one.collection !== other.collection) return false;
  return one.where?.id === other.where?.id;
}

function parseWhere(where: unknown, limits: FilterLimits): Filter | undefined {
  if (where === undefined) return undefined;
  if (typeof where === "string") {
    throw new RealtimeError("invalid_filter", "where is text. Write the filter itself, an object.");
  }
  const filter = parseFilter(where, "where", limits);
  return filter.isEmpty ? undefined : filter;
}

/** Which documents of it somebody gets; undefined: all that there is. */
export function scopeOf(grant: Grant, subject: Subject): DocumentScope | undefined {
  return subject.kind === "topic" ? undefined : documentScope(grant, subject.collection, subject.where);
}

/** @throws {RealtimeError} `forbidden`. */
export function requireSubject(grant: Grant, subject: Subject): void {
  if (subject.kind === "collection") requireCollection(grant, subject.collection);
  else requireTopic(grant, subject.pattern);
}
