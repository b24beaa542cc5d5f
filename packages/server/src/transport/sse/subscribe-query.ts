import { isTopicPattern, RealtimeError } from "@paperdb/protocol";
import { z } from "zod";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { Filter } from "../../filter/filter.ts";
import { parseFilter } from "../../filter/parse-filter.ts";

const once = (description: string): z.ZodOptional<z.ZodString> =>
  z
    .string({ error: "give it once" })
    .min(1, { error: "is empty: give a value, or leave it out" })
    .optional()
    .describe(description);

/** The query of a subscribe request. Parameters it does not name are ignored. */
export const subscribeQuerySchema = z.object({
  collection: once("The collection whose changes to receive"),
  topic: once("The topic or pattern whose events to receive: `order.*` one segment, `order.>` the rest"),
  cursor: once("Where to go on; the `Last-Event-ID` header wins"),
  apikey: once("An anon key, for clients that cannot set headers"),
  token: once("A realtime token, likewise"),
  where: once('A filter, JSON: only documents of the collection that match, as `{"room":"42"}`'),
  snapshot: z
    .enum(["true", "false"], { error: 'must be "true" or "false", once' })
    .optional()
    .describe("`true`: the documents come first, as `snapshot` events, and `ready` after them"),
});

/** What is subscribed to. */
export type SubscribeSubject =
  { readonly collection: string; readonly where: Filter | undefined } | { readonly topic: string };

/** @throws {RealtimeError} naming the parameter that is wrong. */
export function subjectOf(
  query: z.infer<typeof subscribeQuerySchema>,
  filterLimits: FilterLimits,
): SubscribeSubject {
  const { collection, topic } = query;
  if (query.snapshot === "true" && topic !== undefined) {
    throw new RealtimeError(
      "snapshot_not_supported",
      'A topic has no documents: leave "snapshot" out, or subscribe to a collection.',
    );
  }
  if (collection !== undefined && topic !== undefined) {
    throw new RealtimeError("invalid_request", 'Give either "collection" or "topic", not both.');
  }
  if (topic !== undefined && query.where !== undefined) {
    throw new RealtimeError(
      "invalid_request",
      '"where" filters the documents of a collection. Leave it out, and use a pattern to choose topics.',
    );
  }
  if (collection !== undefined) {
    const where = query.where === undefined ? undefined : parseFilter(query.where, "where", filterLimits);
    return { collection, where: where?.isEmpty === true ? undefined : where };
  }
  if (topic === undefined) {
    throw new RealtimeError("invalid_request", 'Give "collection" or "topic" in the query.');
  }
  if (!isTopicPattern(topic)) {
    throw new RealtimeError(
      "invalid_topic",
      '"topic" takes segments of letters, digits, "_" and "-", joined by dots; "*" stands for one segment, a last ">" for the rest.',
    );
  }
  return { topic };
}
