import { describe, expect, it } from "vitest";
import { controlPayload, parseControlMessage, parseMessage } from "./wire.ts";

const HEADER = '["u",1700000000000,"9.3",16384,"a","7",0]';

describe("parseMessage", () => {
  it("reads a change", () => {
    expect(parseMessage(`${HEADER}\n{"id":7}`)).toEqual({
      kind: "u",
      sentAtMs: 1_700_000_000_000,
      transaction: 9,
      tableOid: 16_384,
      tenant: "a",
      subject: "7",
      composite: false,
      body: '{"id":7}',
    });
  });

  it("keeps line feeds of the body and of names apart from the header's end", () => {
    const message = parseMessage('["i",1,"1.1",1,"a\\nb","[1, 2]",1]\n{"a":\n1}');
    expect(message).toMatchObject({ tenant: "a\nb", composite: true, body: '{"a":\n1}' });
  });

  it("reads the row before an update, and nothing else of more than one row", () => {
    const message = parseMessage(`${HEADER}\n{"a":\n1}\u001e{"a": 2}`);
    expect(message).toMatchObject({ body: '{"a":\n1}', prior: '{"a": 2}' });
    for (const text of [
      `${HEADER}\n{}\u001e`,
      `${HEADER}\n{}\u001e[]`,
      `${HEADER}\n\u001e{}`,
      `${HEADER}\n{}\u001e{}\u001e{}`,
      '["i",1,"1.1",1,"a","7",0]\n{}\u001e{}',
      '["d",1,"1.1",1,"a","7",0]\n{}\u001e{}',
    ]) {
      expect(parseMessage(text)).toBeUndefined();
    }
  });

  it("reads an event with any JSON value, and a lost notice without a body", () => {
    expect(parseMessage('["p",1,1,0,"a","t",0]\nnull')).toMatchObject({ kind: "p", body: "null" });
    expect(parseMessage('["x",0,0,5,"a","",0]')).toEqual({ kind: "x", tableOid: 5, tenant: "a" });
  });

  it("reads a change of a function that did not tell its transaction as lost", () => {
    expect(parseMessage('["u",1,3,16384,"a","7",0]\n{}')).toEqual({
      kind: "x",
      tableOid: 16_384,
      tenant: "a",
    });
  });

  it("counts the characters of a tenant as the tenants' own rule does", () => {
    const tenant = "🐘".repeat(200);
    expect(parseMessage(`["p",1,1,0,"${tenant}","t",0]\nnull`)).toMatchObject({ tenant });
  });

  it.each([
    "",
    "\n",
    "{}",
    "null",
    '"text"',
    "[",
    HEADER,
    `${HEADER}\n`,
    `${HEADER}\n{`,
    `${HEADER}\n[]`,
    `${HEADER}\n{} {}`,
    '["u",1,"1.3",16384,"a","7"]\n{}',
    '["u","1","1.3",16384,"a","7",0]\n{}',
    '["u",1,"1.3","16384","a","7",0]\n{}',
    '["u",1,"1.3",16384,null,"7",0]\n{}',
    '["u",1,"1.3",16384,"a",7,0]\n{}',
    '["u",1,"1.3",16384,"a","7",1]\n{}',
    '["u",1,"1.3",16384,"a","[7",1]\n{}',
    '["u",1,"1.3",16384,"a","{\\"\\\\q\\"",1]\n{}',
    '["t",1,"1.3",16384,"a","7",0]\n{}',
    '["p",1,1,0,"a","order.*",0]\nnull',
    '["p",1,1,0,"a","",0]\nnull',
    '["p",1,1,0,"a","t\\n",0]\nnull',
    '["p",1,1,0,"","t",0]\nnull',
    '["p",1,1,0,"a\\nb","t",0]\nnull',
    '["p",1,1,0,"\\ud800","t",0]\nnull',
    `["p",1,1,0,"${"x".repeat(201)}","t",0]\nnull`,
  ])("refuses %j", (text) => {
    expect(parseMessage(text)).toBeUndefined();
  });
});

describe("parseControlMessage", () => {
  it("reads why a table's changes were missed", () => {
    expect(parseControlMessage('["truncated",5]')).toEqual({ reason: "truncated", tableOid: 5 });
    expect(parseControlMessage('["capture_failed",5]')).toEqual({ reason: "capture_failed", tableOid: 5 });
    const recaptured = { reason: "recaptured", tableOid: 5 } as const;
    expect(parseControlMessage(controlPayload(recaptured))).toEqual(recaptured);
  });

  it.each(["", "[]", "{}", '["truncated"]', '["truncated","5"]', '["else",5]', '["truncated",5,6]'])(
    "refuses %j",
    (text) => {
      expect(parseControlMessage(text)).toBeUndefined();
    },
  );
});
