import type { Observation } from "./observations.ts";
import type { WorldPlan } from "./plan.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Evidence, Verdict } from "./evidence.ts";

/** Of a subscriber that something is wrong with, so much of the end is shown. */
const TRACE_LENGTH = 15;
/** Of each subscriber. */
const SHOWN_OBJECTIONS = 3;

/** The command that plays one world again. */
function replayCommand({ source, seed, size }: WorldPlan): string {
  return `npm run oracle -- --source ${source} --seed ${String(seed)} --size ${String(size)}`;
}

/** One line about a world. */
export function summaryOf(plan: WorldPlan, { transactions, events, resets, objections }: Verdict): string {
  const { source, seed, subscribers, faults } = plan;
  const wrong = objections.length === 0 ? "right" : `${String(objections.length)} OBJECTIONS`;
  return (
    `${source} ${String(seed)}: ${String(transactions)} transactions, ${String(events)} events to ${String(subscribers.length)} subscribers, ` +
    `${String(faults.length)} faults (${faults.map(({ kind }) => kind).join(", ")}), ${String(resets)} resets: ${wrong}`
  );
}

/** What was wrong, with a trace of the first subscriber that it was wrong for, and how to play it again. */
export function failureReport(plan: WorldPlan, { objections }: Verdict): string {
  const subscribers = [...new Set(objections.map(({ subscriber }) => subscriber))];
  const lines = subscribers.flatMap((subscriber) => {
    const own = objections.filter((objection) => objection.subscriber === subscriber);
    const more =
      own.length > SHOWN_OBJECTIONS
        ? [`- ${subscriber.plan.name}: and ${String(own.length - SHOWN_OBJECTIONS)} more`]
        : [];
    return [
      ...own.slice(0, SHOWN_OBJECTIONS).map(({ text }) => `- ${subscriber.plan.name}: ${text}`),
      ...more,
    ];
  });
  const [first] = subscribers;
  return [
    ...lines,
    ...(first === undefined
      ? []
      : [
          `Subscriber ${describeSubscriber(first)}, the last of what it saw:`,
          ...traceOf(first, TRACE_LENGTH),
        ]),
    `Replay: ${replayCommand(plan)}`,
  ].join("\n");
}

/** All that all subscribers saw. */
export function fullTrace({ plan, expectations, causes, output }: Evidence): string {
  const traces = expectations.flatMap(({ subscriber }) => [
    describeSubscriber(subscriber),
    ...traceOf(subscriber, Infinity),
    "",
  ]);
  return [
    replayCommand(plan),
    JSON.stringify({ ...plan, writers: undefined }),
    "",
    ...causes.map(
      ({ kind, collection = "all", fromMs, untilMs }) =>
        `${kind} (${collection}) ${fromMs.toFixed(0)}–${untilMs.toFixed(0)}`,
    ),
    "",
    ...traces,
    "The servers said:",
    output(),
    "",
  ].join("\n");
}

function describeSubscriber({ plan }: Subscriber): string {
  return JSON.stringify(plan);
}

function traceOf({ observations: { log } }: Subscriber, length: number): readonly string[] {
  return log
    .slice(Number.isFinite(length) ? -length : 0)
    .map(([atMs, observation]) => `  ${atMs.toFixed(0)} ${textOf(observation)}`);
}

function textOf(observation: Observation): string {
  switch (observation.kind) {
    case "opened":
      return observation.withCursor ? "connected, with a cursor" : "connected";
    case "note":
      return observation.text;
    case "lost":
      return "disconnected";
    case "snapshot":
      return `snapshot of ${observation.documents.map((document) => document.join(" ")).join(", ")}`;
    case "event":
      return observation.name;
    case "ready":
      return observation.resumed ? "ready, resumed" : "ready";
    case "reset":
      return `reset: ${observation.reason}`;
    case "list":
      return "another list";
  }
}
