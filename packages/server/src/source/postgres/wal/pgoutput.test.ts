import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { UNCHANGED, walMessages } from "../../../../../../tests/support/wal-messages.ts";
import { PgoutputError } from "./byte-reader.ts";
import { PgoutputParser } from "./pgoutput.ts";
import type { Relation } from "./relation.ts";

const RELATION = walMessages.relation(7, "todos", [
  ["id", 23],
  ["tïtle", 25],
]);

/** One of each kind. */
const MESSAGES: readonly Buffer[] = [
  RELATION,
  walMessages.begin(0x16b374d848n, 850_000_000_123_456n, 4_000_000_000),
  walMessages.commit(1n, 2n),
  walMessages.insert(7, ["1", "é"]),
  walMessages.update(7, undefined, ["1", null]),
  walMessages.update(7, ["1", "a"], ["1", UNCHANGED]),
  walMessages.delete(7, ["1", null], "K"),
  walMessages.truncate([7]),
  walMessages.message(true, 5n, "paperdb", '{"é":1}'),
];

describe("PgoutputParser", () => {
  let parser: PgoutputParser;

  beforeEach(() => {
    parser = new PgoutputParser();
    parser.parse(RELATION);
  });

  it("reads where a transaction begins and ends", () => {
    expect(
      parser.parse(walMessages.begin(0xffff_ffff_ffff_ffffn, 850_000_000_123_456n, 4_000_000_000)),
    ).toEqual({
      kind: "begin",
      finalLsn: 0xffff_ffff_ffff_ffffn,
      committedAtMs: Date.parse("2026-12-07T23:06:40.123Z"),
      xid: 4_000_000_000,
    });
    expect(parser.parse(walMessages.commit(1n, 2n))).toEqual({ kind: "commit", commitLsn: 1n, endLsn: 2n });
  });

  it("forgets a table, unless it was described again", () => {
    const former = parser.relations.get(7);
    if (former === undefined) throw new Error("It was not described.");
    parser.parse(RELATION);
    parser.forget(former);
    const insert = walMessages.insert(7, ["1", "a"]);
    const { relation } = parser.parse(insert) as { relation: Relation };
    parser.forget(relation);
    expect(parser.relations.size).toBe(0);
    expect(() => parser.parse(insert)).toThrow("was not described before");
  });

  it("knows a table by its latest description", () => {
    const [insert, update] = [walMessages.insert(7, ["1", "a"]), walMessages.update(7, undefined, ["1"])];
    expect(parser.parse(insert)).toMatchObject({
      relation: {
        oid: 7,
        schema: "public",
        name: "todos",
        identityFull: true,
        columns: [
          { name: "id", typeOid: 23 },
          { name: "tïtle", typeOid: 25 },
        ],
      },
    });
    parser.parse(walMessages.relation(7, "todos", [["id", 23]]));
    expect(parser.parse(update)).toMatchObject({ relation: { columns: [{ name: "id", typeOid: 23 }] } });
    expect(() => parser.parse(insert)).toThrow("a row has 2 columns, its table 1");
  });

  it("names the system's schema, which comes without a name", () => {
    const relation = walMessages.relation(8, "x", []);
    const system = Buffer.concat([relation.subarray(0, 5), relation.subarray(11)]);
    expect(parser.parse(system)).toMatchObject({ relation: { schema: "pg_catalog" } });
  });

  it("tells whole old rows from identities", () => {
    expect(parser.parse(walMessages.update(7, undefined, ["1", "a"]))).toMatchObject({
      kind: "update",
      old: undefined,
      row: { complete: true },
    });
    expect(parser.parse(walMessages.update(7, ["1", "a"], ["1", "b"]))).toMatchObject({
      old: { complete: true },
    });
    expect(parser.parse(walMessages.delete(7, ["1", null], "K"))).toMatchObject({ old: { complete: false } });
  });

  it("reads truncates and logical messages, and passes over origins and types", () => {
    expect(parser.parse(walMessages.truncate([7, 7]))).toMatchObject({ relations: [{ oid: 7 }, { oid: 7 }] });
    expect(parser.parse(walMessages.message(false, 5n, "paperdb", "é"))).toEqual({
      kind: "message",
      transactional: false,
      lsn: 5n,
      prefix: "paperdb",
      content: Buffer.from("é"),
    });
    expect(parser.parse(Buffer.from("Y1234public\0mood\0"))).toEqual({ kind: "other" });
    expect(parser.parse(Buffer.from("O12345678name\0"))).toEqual({ kind: "other" });
  });

  it.each<[problem: string, message: Buffer]>([
    ["an empty message", Buffer.alloc(0)],
    ["the unknown kind 83", Buffer.from("S")],
    ["relation 9 was not described", walMessages.insert(9, [])],
    ["relation 9 was not described", walMessages.truncate([7, 9])],
    ["a row has 1 columns, its table 2", walMessages.insert(7, ["1"])],
    ["a new row is of the unknown kind 79", replaced(walMessages.insert(7, ["1", "a"]), 5, "O")],
    ["an old row is of the unknown kind 78", replaced(walMessages.delete(7, ["1", "a"]), 5, "N")],
    ["a value is of the unknown kind 98", replaced(walMessages.insert(7, ["1", "a"]), 8, "b")],
    ["a value does not end", replaced(walMessages.insert(7, ["1", "a"]), 9, "\u007f")],
    ["4278190080 bytes are expected, 0 are left", lengthened(walMessages.message(true, 5n, "p", ""))],
    ["a text has no end", RELATION.subarray(0, 9)],
  ])("says that %s", (problem, message) => {
    expect(() => parser.parse(message)).toThrow(PgoutputError);
    expect(() => parser.parse(message)).toThrow(problem);
  });

  it("refuses every message that is cut short or too long", () => {
    for (const message of MESSAGES) {
      for (let length = 1; length < message.length; length++) {
        expect(() => parser.parse(message.subarray(0, length))).toThrow(PgoutputError);
      }
      expect(() => parser.parse(Buffer.concat([message, Buffer.from("n")]))).toThrow(PgoutputError);
      expect(() => parser.parse(message)).not.toThrow();
    }
  });

  it("reads or refuses whatever comes (property)", () => {
    const broken = fc
      .tuple(fc.constantFrom(...MESSAGES), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }))
      .map(([message, changes]) => {
        const bytes = Buffer.from(message);
        for (const [place, value] of changes) if (place < bytes.length) bytes[place] = value;
        return bytes;
      });
    fc.assert(
      fc.property(
        fc.oneof(
          broken,
          fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          try {
            expect(new PgoutputParser().parse(bytes).kind).toMatch(
              /^(begin|commit|relation|truncate|message|other)$/,
            );
          } catch (error) {
            expect(error).toBeInstanceOf(PgoutputError);
          }
          try {
            parser.parse(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(PgoutputError);
          }
          // What it may have taken for a description of the table is forgotten again.
          parser.parse(RELATION);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

function replaced(message: Buffer, place: number, character: string): Buffer {
  const bytes = Buffer.from(message);
  bytes.write(character, place, "latin1");
  return bytes;
}

function lengthened(message: Buffer): Buffer {
  const bytes = Buffer.from(message);
  bytes.writeUInt8(0xff, bytes.length - 4);
  return bytes;
}
