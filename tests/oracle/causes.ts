import type { FaultKind, SourceKind, SubscriberPlan } from "./plan.ts";
import type { SeenReset, Stretch } from "./observations.ts";

/** Something after which subscribers may be reset. */
export interface Cause {
  readonly kind: FaultKind | "truncated" | "filter_needed";
  /** Undefined: all. */
  readonly collection?: string | undefined;
  readonly fromMs: number;
  /** When its effects were over; infinite when nobody can tell. */
  readonly untilMs: number;
}

const CURSOR = "cursor_not_usable";
/** A large document could not be fetched, just before the loss of the connection was noticed. */
const NOT_FETCHED = "change_too_large";
/** For which reasons subscribers to documents may be reset after each; a cause that is not there allows none. */
const DOCUMENT_RESETS: Readonly<Record<SourceKind, Partial<Record<Cause["kind"], readonly string[]>>>> = {
  wal: { slot_dropped: ["slot_lost", CURSOR], truncated: ["truncated", CURSOR] },
  notify: {
    server_killed: [CURSOR],
    server_restarted: [CURSOR],
    database_killed: ["source_reconnected", CURSOR, NOT_FETCHED],
    backends_terminated: ["source_reconnected", CURSOR, NOT_FETCHED],
    truncated: ["truncated", CURSOR],
    filter_needed: ["prior_unknown", CURSOR],
  },
  mongodb: {
    oplog_rolled: ["history_lost", CURSOR],
    filter_needed: ["prior_unknown", CURSOR],
  },
};
/** Likewise of topics, which have no history beyond the server. */
const TOPIC_RESETS: typeof DOCUMENT_RESETS = {
  wal: {
    server_killed: [CURSOR],
    server_restarted: [CURSOR],
    // Whoever comes before it has the slot is told once it has.
    server_replaced: [CURSOR, "source_reconnected"],
    slot_dropped: ["slot_lost", CURSOR],
  },
  notify: {
    server_killed: [CURSOR],
    server_restarted: [CURSOR],
    database_killed: ["source_reconnected", CURSOR],
    backends_terminated: ["source_reconnected", CURSOR],
  },
  mongodb: {},
};
/** A snapshot needs more of the history than there is. */
const TOO_SHORT = "history_too_short";
/** The snapshot after a reset was cut off, and the client was reset again, or not told of the first one. */
const INTERRUPTED = "snapshot_interrupted";
/** Effects of a fault that was put right may still be on their way. */
const GRACE_MS = 20_000;

/** Resets that nothing explains: each cause explains one of a subscriber's of each reason. */
export function unexplainedResets(
  source: SourceKind,
  { collection }: Pick<SubscriberPlan, "collection">,
  {
    resets,
    stretches,
    causes,
    isForgetful,
  }: {
    readonly resets: readonly SeenReset[];
    readonly stretches: readonly Stretch[];
    readonly causes: readonly Cause[];
    /** Whether a client may come back too late at any time. */
    readonly isForgetful: boolean;
  },
): readonly string[] {
  const allowed = (collection === undefined ? TOPIC_RESETS : DOCUMENT_RESETS)[source];
  const used = new Set<string>();
  return resets.flatMap(({ atMs, reason }) => {
    if (isForgetful && (reason === CURSOR || reason === TOO_SHORT)) return [];
    const sinceMs = Math.max(
      0,
      ...stretches.map(({ readyAtMs }) => readyAtMs).filter((readyAtMs) => readyAtMs < atMs),
    );
    const cause = causes.findIndex(
      ({ kind, collection: only, fromMs, untilMs }, index) =>
        !used.has(`${String(index)} ${reason}`) &&
        isAllowed(allowed[kind] ?? [], reason) &&
        (only === undefined || only === collection) &&
        fromMs <= atMs &&
        untilMs + GRACE_MS >= sinceMs,
    );
    if (cause < 0) return [`a reset (${reason}) without a cause`];
    used.add(`${String(cause)} ${reason}`);
    return [];
  });
}

function isAllowed(reasons: readonly string[], reason: string): boolean {
  return reasons.includes(reason) || (reason === INTERRUPTED && reasons.length > 0);
}
