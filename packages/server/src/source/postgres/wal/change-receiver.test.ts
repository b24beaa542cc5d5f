import { pino } from "pino";
import { beforeEach, expect, it, vi } from "vitest";
import { RecordingSink } from "../../../../../../tests/support/recording-sink.ts";
import { walMessages } from "../../../../../../tests/support/wal-messages.ts";
import type { CapturedTable } from "../table.ts";
import { ChangeReceiver } from "./change-receiver.ts";
import { Journal } from "./journal.ts";
import { PgoutputParser } from "./pgoutput.ts";
import { RowEncoder } from "./row-encoder.ts";
import { emptyWalStats } from "./stats.ts";
import { StreamPlace } from "./stream-place.ts";
import { TypeCatalog } from "./type-catalog.ts";
import { WalWatches } from "./wal-watches.ts";

const TEXT = 25;
const TABLE = 1;
const PARTITION = 2;

const table: CapturedTable = {
  collection: "todos",
  oid: TABLE,
  name: { schema: "public", table: "todos" },
  tenantColumn: "tenant_id",
  primaryKey: ["id"],
  hidden: new Set(),
  virtualColumns: [],
  shape: "todos",
  partitions: [],
  attachments: "[]",
  triggers: [],
};

const TYPES = [
  {
    oid: TEXT,
    kind: "b",
    shown: "text",
    base: 0,
    element: 0,
    delimiter: ",",
    fields: null,
    json_cast: null,
    text_cast: null,
  },
];

let place: StreamPlace;
let sink: RecordingSink;
let parser: PgoutputParser;
let receiver: ChangeReceiver;
/** Answers to the only query that is made here, for types. */
let answers: (() => Promise<unknown>)[];
let isVisible: boolean;

beforeEach(() => {
  place = new StreamPlace();
  place.restart(1);
  sink = new RecordingSink();
  parser = new PgoutputParser();
  answers = [];
  isVisible = true;
  const watches = new WalWatches();
  watches.add({ tenant: "a", collection: "todos" }, table, "");
  const query = () => (answers.shift() ?? (() => Promise.resolve({ rows: TYPES })))();
  receiver = new ChangeReceiver({
    sink,
    watches,
    place,
    types: new TypeCatalog({ pool: { query: query as never } }),
    journal: new Journal({ maxHistoryBytes: 1_000_000, maxHistoryAgeMs: 1_000 }),
    settings: { maxDocumentBytes: 1_000_000 },
    stats: emptyWalStats(),
    log: pino({ level: "silent" }),
    isCaughtUp: () => true,
    untilVisible: () => {
      isVisible = true;
      return Promise.resolve();
    },
    fetchPartitionRoot: (oid) => Promise.resolve(isVisible && oid === PARTITION ? TABLE : undefined),
  });
});

/** Streams a transaction of one insert, as a stream that begins again would. */
async function insert(id: string, relation = TABLE, name = "todos"): Promise<void> {
  place.begin(100n);
  receiver.begin(0, 7, 0);
  const columns = [
    ["id", TEXT],
    ["tenant_id", TEXT],
  ] as const;
  const described = parser.parse(walMessages.relation(relation, name, columns));
  if (described.kind === "relation") await receiver.relation(described.relation);
  const change = parser.parse(walMessages.insert(relation, [id, "a"]));
  if (change.kind === "insert") await receiver.change(change);
  await receiver.flush();
  place.commit(120n);
}

const received = () => sink.changes("a", "todos").map(({ id }) => id);

it("does not take a change for seen whose types could not be looked up: it comes again", async () => {
  let before = "";
  answers.push(() => {
    before = place.position;
    return Promise.reject(new Error("The connection was lost."));
  });
  await expect(insert("1")).rejects.toThrow("The connection was lost.");
  place.interrupt();
  expect(received()).toEqual([]);
  await insert("1");
  expect(received()).toEqual(["1"]);
  // Nobody was told of a place beyond it meanwhile.
  expect(before < (sink.positions[0] ?? "")).toBe(true);
});

it("waits for the catalog to have a partition that the transaction made", async () => {
  isVisible = false;
  await insert("1", PARTITION, "todos_1");
  expect(received()).toEqual(["1"]);
});

it("does not deliver rows of a table that was renamed under the name of before", async () => {
  await insert("1", TABLE, "secrets");
  expect(received()).toEqual([]);
  expect(sink.resetsOf("a", "todos", "capture_failed")).toBe(1);
});

it("resets where a change cannot be made an event for a reason that nobody thought of", async () => {
  // As a document does that is longer than any string can be.
  const document = vi.spyOn(RowEncoder.prototype, "document").mockImplementationOnce(() => {
    throw new RangeError("Cannot create a string");
  });
  await insert("1");
  document.mockRestore();
  expect(received()).toEqual([]);
  expect(sink.resetsOf("a", "todos", "capture_failed")).toBe(1);
});

it("makes no document of what is much larger than one may be", async () => {
  const document = vi.spyOn(RowEncoder.prototype, "document");
  await insert("1".repeat(4_000_000));
  expect(document).not.toHaveBeenCalled();
  document.mockRestore();
  expect(received()).toEqual([]);
  expect(sink.resetsOf("a", "todos", "change_too_large")).toBe(1);
});

it("is done when the log has taken what was handed on, also on the occasion of a reset", async () => {
  let taken: () => void = () => undefined;
  const append = sink.append.bind(sink);
  sink.append = (events) => {
    void append(events);
    return new Promise<void>((resolve) => {
      taken = resolve;
    });
  };
  place.begin(100n);
  receiver.begin(0, 7, 0);
  const relation = parser.parse(
    walMessages.relation(TABLE, "todos", [
      ["id", TEXT],
      ["tenant_id", TEXT],
    ]),
  );
  if (relation.kind !== "relation") throw new Error("It is a relation.");
  const change = parser.parse(walMessages.insert(TABLE, ["1", "a"]));
  if (change.kind === "insert") await receiver.change(change);
  receiver.truncate([relation.relation]);
  const order: string[] = [];
  const flushed = Promise.resolve(receiver.flush()).then(() => order.push("flushed"));
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  order.push("taken");
  taken();
  await flushed;
  expect(order).toEqual(["taken", "flushed"]);
  expect(receiver.flush()).toBeUndefined();
});
