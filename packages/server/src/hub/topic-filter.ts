import { topicMatcher } from "@paperdb/protocol";
import type { EventFilter } from "./delivery.ts";

/** The events of a bus channel whose topic a pattern stands for. */
export function topicFilter(pattern: string): EventFilter {
  const matches = topicMatcher(pattern);
  const isOneTopic = !pattern.includes("*") && !pattern.includes(">");
  return {
    id: pattern,
    term: isOneTopic ? { path: ["topic"], keys: [pattern] } : undefined,
    sees: ({ body }) => ("topic" in body && matches(body.topic) ? "as_is" : "nothing"),
  };
}
