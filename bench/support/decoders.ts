import { PgoutputPlugin } from "pg-logical-replication";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import { Journal } from "../../packages/server/dist/source/postgres/wal/journal.js";
import { PgoutputParser } from "../../packages/server/dist/source/postgres/wal/pgoutput.js";
import { RowEncoder } from "../../packages/server/dist/source/postgres/wal/row-encoder.js";
import type { TypeCatalog } from "../../packages/server/dist/source/postgres/wal/type-catalog.js";

/**
 * What becomes of the changes: JSON text by our decoder, which may also keep it for a restart; or
 * `pg-logical-replication`'s objects, as they are or as JSON.
 */
export type DecoderKind = "ours" | "journal" | "objects" | "json";

/** Takes the payloads of pgoutput, and counts what it makes of them. */
export interface Decoder {
  readonly changes: number;
  /** Of JSON text. */
  readonly characters: number;
  decode(payload: Buffer): void;
}

const RULES = { tenantColumn: "tenant_id", primaryKey: ["id"], hidden: new Set<string>() };
const JOURNAL = { maxHistoryAgeMs: 300_000, maxHistoryBytes: 16 * 1024 * 1024 };
const PLUGIN = { protoVersion: 1, publicationNames: ["bench"] } as const;

/** A decoder that knows no table yet. */
export function createDecoder(kind: DecoderKind, types: TypeCatalog): Decoder {
  if (kind === "ours") return new OurDecoder(types);
  if (kind === "journal") return new OurDecoder(types, new Journal(JOURNAL));
  return new PeerDecoder(kind === "json");
}

/** The plugin of `pg-logical-replication`, by which its service reads a publication. */
export function createPeerPlugin(): PgoutputPlugin {
  return new PgoutputPlugin({ ...PLUGIN, publicationNames: [...PLUGIN.publicationNames] });
}

/** Does what the source does with each change, for the tenants that are watched. */
class OurDecoder implements Decoder {
  changes = 0;
  characters = 0;
  readonly #types: TypeCatalog;
  readonly #parser = new PgoutputParser();
  readonly #journal: Journal | undefined;
  #encoder: RowEncoder | undefined;

  constructor(types: TypeCatalog, journal?: Journal) {
    this.#types = types;
    this.#journal = journal;
  }

  decode(payload: Buffer): void {
    const message = this.#parser.parse(payload);
    if (message.kind === "relation") {
      this.#encoder = new RowEncoder(message.relation, RULES, this.#types);
      return;
    }
    if (message.kind !== "insert" && message.kind !== "update") return;
    const encoder = this.#encoder;
    if (encoder === undefined) throw new Error("A row came before its table.");
    const { row } = message;
    const old = message.kind === "update" ? message.old : undefined;
    const tenant = encoder.tenant(row, old) ?? "";
    if (old !== undefined && (encoder.tenant(old) !== tenant || encoder.documentId(old) === "")) {
      throw new Error("A row moved.");
    }
    const id = encoder.documentId(row, old);
    const { document, prior } =
      old === undefined ? { document: encoder.document(row), prior: "" } : encoder.documents(row, old);
    if (tenant === "" || id === "" || prior === document) throw new Error("A row is of nobody.");
    this.changes += 1;
    this.characters += document.length;
    if (this.#journal === undefined) return;
    const body = { type: message.kind, documentId: id, document, ...(prior === "" ? {} : { prior }) };
    const position = String(this.changes).padStart(28, "0");
    const channel = { tenant, collection: "shape" };
    this.#journal.add({ channel, position, committedAtMs: 0, transaction: 0, body }, 0);
  }
}

/** The row before is JSON as well: a filter has to know what a client had. */
class PeerDecoder implements Decoder {
  changes = 0;
  characters = 0;
  readonly #plugin = createPeerPlugin();
  readonly #asJson: boolean;

  constructor(asJson: boolean) {
    this.#asJson = asJson;
  }

  decode(payload: Buffer): void {
    this.take(this.#plugin.parse(payload));
  }

  take(message: ReturnType<PgoutputPlugin["parse"]>): void {
    if (message.tag !== "insert" && message.tag !== "update") return;
    this.changes += 1;
    if (!this.#asJson) return;
    if (message.tag === "update" && JSON.stringify(message.old) === "") throw new Error("A row is empty.");
    this.characters += JSON.stringify(message.new).length;
  }
}

/** What `pg-logical-replication` has parsed itself goes here. */
export function createPeerCounter(kind: "objects" | "json"): Decoder & Pick<PeerDecoder, "take"> {
  return new PeerDecoder(kind === "json");
}
