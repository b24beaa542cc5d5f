import { RealtimeError } from "@paperdb/protocol";
import { documentJson } from "../source/document-json.ts";

/** Long digit strings and exponents: only these can be numbers that a double would change. */
const RISKY_NUMBER = /[\d.]{16}|\d[eE]/;

/**
 * The value of a request's body. Numbers that a double would change become strings, as in documents.
 *
 * @throws {RealtimeError} `invalid_request`.
 */
export function parseJsonBody(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return RISKY_NUMBER.test(text) ? JSON.parse(documentJson(text)) : value;
  } catch {
    throw new RealtimeError("invalid_request", "The body is not valid JSON.");
  }
}
