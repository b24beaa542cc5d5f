import type { ByteReader } from "./byte-reader.ts";

/** One column of a {@link Relation}, as it was when the change was made. */
export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
}

/** What the columns of the tuples that follow are. A table that changes is sent anew, as another object. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Whether old tuples have all columns: REPLICA IDENTITY FULL. */
  readonly identityFull: boolean;
  /** Those that are published, in the table's order: neither dropped nor virtual; before PostgreSQL 18 no generated ones. */
  readonly columns: readonly RelationColumn[];
}

const IDENTITY_FULL = 0x66; // f

/** Reads the fields of a Relation message after its kind. */
export function readRelation(reader: ByteReader): Relation {
  const oid = reader.uint32();
  const schema = reader.string();
  const name = reader.string();
  const identity = reader.uint8();
  const columns: RelationColumn[] = [];
  for (let left = reader.uint16(); left > 0; left--) {
    reader.uint8(); // Whether it is part of the identity.
    const column = reader.string();
    columns.push({ name: column, typeOid: reader.uint32() });
    reader.int32(); // The type's modifier: the text of a value does not need it.
  }
  reader.end();
  // The system's own schema comes as an empty text.
  return {
    oid,
    schema: schema === "" ? "pg_catalog" : schema,
    name,
    identityFull: identity === IDENTITY_FULL,
    columns,
  };
}
