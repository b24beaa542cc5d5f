/** One value of a tuple: text, NULL, or one that was not sent since it did not change. */
export type SentValue = string | null | { readonly unchanged: true };

/** A large value that an update left alone. */
export const UNCHANGED = { unchanged: true } as const;

const byte = (value: number): Buffer => Buffer.from([value]);
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function tuple(kind: string, values: readonly SentValue[]): Buffer {
  const parts = values.map((value) => {
    if (value === null) return Buffer.from("n");
    if (typeof value === "object" && "unchanged" in value) return Buffer.from("u");
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from("t"), uint32(bytes.length), bytes]);
  });
  return Buffer.concat([Buffer.from(kind), uint16(values.length), ...parts]);
}

/** Writes messages as pgoutput does, for tests of what reads them. */
export const walMessages = {
  begin: (finalLsn: bigint, microseconds: bigint, xid: number): Buffer =>
    Buffer.concat([Buffer.from("B"), uint64(finalLsn), uint64(microseconds), uint32(xid)]),

  commit: (commitLsn: bigint, endLsn: bigint): Buffer =>
    Buffer.concat([Buffer.from("C"), byte(0), uint64(commitLsn), uint64(endLsn), uint64(0n)]),

  relation: (
    oid: number,
    name: string,
    columns: readonly (readonly [name: string, type: number])[],
  ): Buffer =>
    Buffer.concat([
      Buffer.from("R"),
      uint32(oid),
      text("public"),
      text(name),
      Buffer.from("f"),
      uint16(columns.length),
      ...columns.flatMap(([column, type]) => [byte(1), text(column), uint32(type), uint32(0xffffffff)]),
    ]),

  insert: (oid: number, row: readonly SentValue[]): Buffer =>
    Buffer.concat([Buffer.from("I"), uint32(oid), tuple("N", row)]),

  update: (
    oid: number,
    old: readonly SentValue[] | undefined,
    row: readonly SentValue[],
    kind = "O",
  ): Buffer =>
    Buffer.concat([
      Buffer.from("U"),
      uint32(oid),
      ...(old === undefined ? [] : [tuple(kind, old)]),
      tuple("N", row),
    ]),

  delete: (oid: number, old: readonly SentValue[], kind = "O"): Buffer =>
    Buffer.concat([Buffer.from("D"), uint32(oid), tuple(kind, old)]),

  truncate: (oids: readonly number[]): Buffer =>
    Buffer.concat([Buffer.from("T"), uint32(oids.length), byte(0), ...oids.map(uint32)]),

  message: (transactional: boolean, lsn: bigint, prefix: string, content: string): Buffer => {
    const bytes = Buffer.from(content);
    return Buffer.concat([
      Buffer.from("M"),
      byte(transactional ? 1 : 0),
      uint64(lsn),
      text(prefix),
      uint32(bytes.length),
      bytes,
    ]);
  },
};
