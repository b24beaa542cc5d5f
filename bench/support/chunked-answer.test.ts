import fc from "fast-check";
import { expect, it } from "vitest";
import { ChunkedAnswer } from "./chunked-answer.ts";

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/** @param readBytes - how much comes at once, in turns. */
function readAll(answer: Buffer, readBytes: readonly number[]): string {
  let passed = "";
  const chunked = new ChunkedAnswer((bytes) => (passed += bytes.toString("latin1")));
  const reused = Buffer.alloc(answer.length);
  let at = 0;
  for (let turn = 0; at < answer.length; turn += 1) {
    const length = answer.copy(reused, 0, at, at + (readBytes[turn % readBytes.length] ?? 1));
    chunked.push(reused.subarray(0, length));
    reused.fill("!");
    at += length;
  }
  return passed;
}

const texts = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), { maxLength: 20 });
const reads = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 12 });

it("passes on the head and what is in the chunks, wherever reads end", () => {
  fc.assert(
    fc.property(texts, fc.constantFrom("", ";a=b"), reads, (sent, extension, readBytes) => {
      const body = sent.map((text) => `${text.length.toString(16)}${extension}\r\n${text}\r\n`).join("");
      expect(readAll(Buffer.from(HEAD + body), readBytes)).toBe(HEAD + sent.join(""));
    }),
  );
});

it("passes on an answer without chunks as it is", () => {
  const answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n2\r\nnot\r\nfound\r\n";
  for (const bytes of [1, 7, answer.length]) expect(readAll(Buffer.from(answer), [bytes])).toBe(answer);
});

it("refuses a size that is not a number", () => {
  expect(() => readAll(Buffer.from(`${HEAD}nonsense\r\n`), [64])).toThrow("not a number");
});
