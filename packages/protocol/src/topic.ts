/** The longest topic, in characters. */
export const MAX_TOPIC_LENGTH = 256;

const SEGMENT = "[A-Za-z0-9_-]+";
const TOPIC = new RegExp(`^${SEGMENT}(\\.${SEGMENT})*$`);
const PATTERN = new RegExp(`^(${SEGMENT}|\\*)(\\.(${SEGMENT}|\\*))*(\\.>)?$|^>$`);

/** Whether an event can be published under this name: segments of letters, digits, `_` and `-`, joined by dots. */
export function isTopic(text: string): boolean {
  return text.length <= MAX_TOPIC_LENGTH && TOPIC.test(text);
}

/** Whether this is a topic or a pattern: `*` stands for one segment, a last `>` for one or more. */
export function isTopicPattern(text: string): boolean {
  return text.length <= MAX_TOPIC_LENGTH && PATTERN.test(text);
}

/** A test for the topics that a pattern stands for. The pattern must pass {@link isTopicPattern}. */
export function topicMatcher(pattern: string): (topic: string) => boolean {
  if (!pattern.includes("*") && !pattern.includes(">")) return (topic) => topic === pattern;
  const source = pattern
    .split(".")
    .map((segment) => (segment === "*" ? "[^.]+" : segment === ">" ? ".+" : segment))
    .join("\\.");
  const expression = new RegExp(`^${source}$`);
  return (topic) => expression.test(topic);
}

/** Whether all topics that `wanted` stands for are among those of `granted`. Both must pass {@link isTopicPattern}. */
export function topicCovers(granted: string, wanted: string): boolean {
  const grantedSegments = granted.split(".");
  const wantedSegments = wanted.split(".");
  for (const [index, segment] of grantedSegments.entries()) {
    const other = wantedSegments[index];
    if (other === undefined) return false;
    if (segment === ">") return true;
    if (other === ">" || (segment !== "*" && segment !== other)) return false;
  }
  return wantedSegments.length === grantedSegments.length;
}
