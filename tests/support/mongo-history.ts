import { Timestamp, type Db, type Document } from "mongodb";
import { documentIdText, tenantText } from "./mongo-text.ts";
import { until } from "./until.ts";

/** One change that MongoDB committed, as a subscriber of a channel should see it. */
export interface CommittedChange {
  /** `<collection> <tenant>`. */
  readonly channel: string;
  readonly type: string;
  readonly documentId: string;
  /**
   * The `mark` of the document that may come with it. The first is that of the moment; a server without post-images looks the
   * document up later, and then also finds those that follow.
   */
  readonly marks: readonly number[];
  /** A document that has left by the time of the look-up may have no event. */
  readonly optional: boolean;
}

interface Draft extends Omit<CommittedChange, "marks" | "optional"> {
  readonly marks: number[];
  readonly lookedUp: boolean;
  readonly key: string;
  optional: boolean;
}

const OPERATIONS: ReadonlySet<string> = new Set(["insert", "update", "replace", "delete"]);
/** Where {@link fetchHistory} writes that it wants to read up to here. */
const FENCE = "fence";

/** The operation time of now: {@link fetchHistory} can read from here. */
export async function fetchOperationTime(db: Db): Promise<Timestamp> {
  const { operationTime } = await db.command({ ping: 1 });
  if (!(operationTime instanceof Timestamp)) throw new Error("The server has no operation time.");
  return operationTime;
}

/**
 * Everything that was committed since, in order, by the rules for subscribers: read from the oplog without any
 * of the product's code, from collections that were empty then, each document built up from its own changes.
 */
export async function fetchHistory(db: Db, since: Timestamp): Promise<readonly CommittedChange[]> {
  const documents = new Map<string, Document>();
  const drafts: Draft[] = [];
  for (const event of await fetchRawEvents(db, since)) {
    const collection = String(event["ns"].coll);
    const documentId = documentIdText(event["documentKey"]._id);
    const key = `${collection} ${documentId}`;
    const before = documents.get(key);
    const after = apply(before, event);
    if (after === undefined) documents.delete(key);
    else documents.set(key, after);
    follow(drafts, key, after);
    const lookedUp = event["operationType"] === "update";
    const draft = (type: string, document: Document): Draft => ({
      channel: `${collection} ${String(tenantText(document["tenantId"]))}`,
      type,
      documentId,
      marks: [Number(document["mark"])],
      lookedUp: lookedUp && type !== "delete",
      key,
      optional: false,
    });
    drafts.push(...changesOf(String(event["operationType"]), before, after, draft));
  }
  return drafts;
}

function changesOf(
  operation: string,
  before: Document | undefined,
  after: Document | undefined,
  draft: (type: string, document: Document) => Draft,
): readonly Draft[] {
  const left = tenantText(before?.["tenantId"]);
  const joined = tenantText(after?.["tenantId"]);
  if (left !== undefined && left === joined && after !== undefined) return [draft(operation, after)];
  const changes: Draft[] = [];
  if (left !== undefined && before !== undefined) changes.push(draft("delete", before));
  if (joined !== undefined && after !== undefined) changes.push(draft("insert", after));
  return changes;
}

/** What a late look-up for earlier changes of this document finds. */
function follow(drafts: readonly Draft[], key: string, after: Document | undefined): void {
  for (const earlier of drafts) {
    if (earlier.key !== key || !earlier.lookedUp) continue;
    const stays =
      after !== undefined && earlier.channel.endsWith(` ${String(tenantText(after["tenantId"]))}`);
    if (stays) earlier.marks.push(Number(after["mark"]));
    else earlier.optional = true;
  }
}

async function fetchRawEvents(db: Db, since: Timestamp): Promise<readonly Document[]> {
  const { insertedId } = await db.collection(FENCE).insertOne({});
  const stream = db.watch([], { startAtOperationTime: since });
  const events: Document[] = [];
  try {
    await until(
      async () => {
        for (;;) {
          const event: Document | null = await stream.tryNext();
          if (event === null) return false;
          if (event["ns"]?.coll === FENCE && insertedId.equals(event["documentKey"]?._id)) return true;
          if (OPERATIONS.has(event["operationType"]) && event["ns"].coll !== FENCE) events.push(event);
        }
      },
      { describe: "the end of the oplog" },
    );
  } finally {
    await stream.close();
  }
  return events;
}

function apply(before: Document | undefined, event: Document): Document | undefined {
  if (event["operationType"] === "delete") return undefined;
  if (event["operationType"] !== "update") return event["fullDocument"];
  const { updatedFields, removedFields } = event["updateDescription"];
  const after: Document = { ...before, ...updatedFields };
  for (const field of removedFields) delete after[field];
  return after;
}
