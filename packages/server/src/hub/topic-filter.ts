import { topicMatcher } from "@paperdb/protocol";
import type { EventFilter } from "./delivery.ts";

/** The events of a bus channel whose topic a pattern stands for. */
export function topicFilter(pattern: string): EventFilter {
  const matches = topicMatcher(pattern);
  return {
    id: pattern,
    matches: ({ body }) => "topic" in body && matches(body.topic),
  };
}
