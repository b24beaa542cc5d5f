import { copyJson } from "./copy-json.ts";
import { IncompleteRowError } from "./incomplete-row-error.ts";
import type { JsonBytes } from "./json-bytes.ts";
import { NULL_VALUE, UNCHANGED_TOAST, valueLength } from "./tuple.ts";
import { valueJson } from "./value-json.ts";
import type { ValueType } from "./value-type.ts";

const NULL = Buffer.from("null");
const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");
const LOWER_T = 0x74;

/** A value of a row before an update, which has to be there. */
export function writeStored(output: JsonBytes, type: ValueType, bytes: Buffer, offset: number): void {
  if (bytes[offset] === UNCHANGED_TOAST) throw new IncompleteRowError("unchanged_toast");
  writeValue(output, type, bytes, offset);
}

/** Writes the JSON of a value of a tuple, at the place of its kind; one that was not sent cannot be written. */
export function writeValue(output: JsonBytes, type: ValueType, bytes: Buffer, offset: number): void {
  if (bytes[offset] === NULL_VALUE) {
    output.raw(NULL, 0, NULL.length);
    return;
  }
  const start = offset + 5;
  const end = start + valueLength(bytes, offset);
  switch (type.kind) {
    case "integer":
      output.raw(bytes, start, end);
      return;
    case "number":
      output.number(bytes, start, end);
      return;
    case "string":
      output.string(bytes, start, end);
      return;
    case "boolean": {
      const word = bytes[start] === LOWER_T ? TRUE : FALSE;
      output.raw(word, 0, word.length);
      return;
    }
    case "plain":
      output.plain(bytes, start, end);
      return;
    case "timestamp":
    case "timestamptz":
      output.timestamp(bytes, start, end);
      return;
    case "json":
      copyJson(output, bytes, start, end);
      return;
    case "hstore":
    case "vector":
    case "array":
    case "composite":
    case "unsupported":
      output.json(valueJson(type, bytes.toString("utf8", start, end)));
      return;
  }
}
