import type { StrictState } from "./snapshots.ts";
import type { ChangeMessage, SseClient } from "./sse-client.ts";

interface SnapshotData {
  readonly documents: readonly unknown[];
  readonly documentIds: readonly string[];
}

/** What a client that has asked for a snapshot holds after all that came. @param makeState - what each reset begins with. */
export function sseState<State extends StrictState>(client: SseClient, makeState: () => State): State {
  let state = makeState();
  for (const { event, data } of client.events) {
    if (event === "reset") state = makeState();
    if (event === "snapshot") addDocuments(state, JSON.parse(data) as SnapshotData);
    if (event === undefined) apply(state, JSON.parse(data) as ChangeMessage);
  }
  return state;
}

function addDocuments(state: StrictState, { documents, documentIds }: SnapshotData): void {
  if (documents.length !== documentIds.length) throw new Error("There are more documents than ids, or less.");
  state.add(
    documentIds.map((documentId, index) => ({ documentId, document: JSON.stringify(documents[index]) })),
  );
}

function apply(state: StrictState, { type, documentId, document }: ChangeMessage): void {
  const kind = type === "insert" || type === "delete" ? type : "update";
  state.apply({
    channel: { tenant: "", collection: "" },
    position: "",
    committedAtMs: undefined,
    body: { type: kind, documentId, document: JSON.stringify(document) },
  });
}
