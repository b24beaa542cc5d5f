import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { isExact } from "./exact-number.ts";
import type { Image, JsonDocument } from "./image.ts";
import type { CollectionPlan } from "./plan.ts";

const STRINGS_AND_NUMBERS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A row as `to_json` writes it, with the numbers that JavaScript cannot keep as strings, as they are delivered. */
function parseRow(text: string): JsonDocument {
  const safe = text.replaceAll(STRINGS_AND_NUMBERS, (token) =>
    token.startsWith('"') || isExact(token) ? token : `"${token}"`,
  );
  return JSON.parse(safe) as JsonDocument;
}

/** An image of a row. */
export function imageOf({ keyKind, tenantColumn }: CollectionPlan, text: string): Image {
  const document = parseRow(text);
  const tenant = document[tenantColumn];
  const { id, region } = document;
  return {
    mark: Number(document["mark"]),
    documentId: keyKind === "composite" ? JSON.stringify([region, id]) : textOf(id),
    tenant: typeof tenant === "string" ? tenant : null,
    document,
  };
}

function textOf(id: JsonValue | undefined): string {
  return typeof id === "string" ? id : JSON.stringify(id);
}
