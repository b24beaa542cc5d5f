import { z } from "zod";

const NAME_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/;
/** The longest identifier of PostgreSQL, in bytes. */
const MAX_IDENTIFIER_BYTES = 63;

const URL_SHAPE =
  "postgres://user:password@host:port/database (percent-encode special characters of the password)";

/** A connection URL of PostgreSQL. */
export const postgresUrl: z.ZodString = z.string().refine(isPostgresUrl, { error: `must be ${URL_SHAPE}` });

const identifier = z
  .string()
  .refine((name) => name !== "" && Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES && !name.includes("\0"), {
    error: `must be a column's name of 1 to ${String(MAX_IDENTIFIER_BYTES)} bytes`,
  });

const collectionName = z
  .string()
  .min(1)
  .max(200)
  .refine((name) => !CONTROL_CHARACTERS.test(name), { error: "must not contain control characters" });

const collection = z.strictObject({
  table: z.string().min(1).max(300).describe("The table, as `schema.table` (without schema: `public`)."),
  tenantColumn: identifier
    .default("tenant_id")
    .describe("The column whose text form is the tenant that a row belongs to."),
  hide: z.array(identifier).default([]).describe("Columns that are never delivered."),
});

/** One entry of `sources`. */
export const sourceSchema = z.strictObject({
  kind: z.enum(["postgres"]).describe("What kind of database it is."),
  name: z
    .string()
    .regex(NAME_PATTERN, { error: "must be 1 to 64 letters, digits, _ or -" })
    .optional()
    .describe(
      "Names the source in `/readyz`, metrics and cursors. Default: `postgres`, then `postgres-2`, …",
    ),
  url: z
    .string()
    .refine((text) => text === "embedded" || isPostgresUrl(text), {
      error: `must be "embedded" or ${URL_SHAPE}`,
    })
    .optional()
    .describe(
      'Where the database is, without a transaction pooler in between; `"embedded"`: the one that comes with the server. Default: `databaseUrl`.',
    ),
  mode: z
    .enum(["notify"])
    .default("notify")
    .describe("How changes are received: `notify`, by triggers and LISTEN."),
  collections: z
    .record(collectionName, collection)
    .optional()
    .describe(
      "Public name → table, and then only those. Default: every table with a `tenant_id` column and a primary key.",
    ),
});

function isPostgresUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  return ["postgres:", "postgresql:"].includes(new URL(text).protocol);
}
