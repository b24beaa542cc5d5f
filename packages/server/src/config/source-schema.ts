import { z } from "zod";

const NAME_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/;
/** The longest identifier of PostgreSQL, in bytes. */
const MAX_IDENTIFIER_BYTES = 63;

const MONGO_URL = /^mongodb(?:\+srv)?:\/\/[^/?#]+(?:\/(?:[^/?#%]|%[0-7][\dA-Fa-f])*)?(?:\?[^#]*)?$/;

const URL_SHAPE =
  "postgres://user:password@host:port/database (percent-encode special characters of the password)";

/** A connection URL of PostgreSQL. */
export const postgresUrl: z.ZodString = z.string().refine(isPostgresUrl, { error: `must be ${URL_SHAPE}` });

const MONGO_URL_SHAPE =
  "mongodb://user:password@host:port/database or mongodb+srv://… (percent-encode special characters of the password)";

/** A connection URL of MongoDB. Not of the URL class, which takes one host only. */
export const mongoUrl: z.ZodString = z
  .string()
  .refine((text) => MONGO_URL.test(text), { error: `must be ${MONGO_URL_SHAPE}` });

/** A field, or a path of fields joined by dots. */
const fieldPath = z
  .string()
  .max(255)
  .refine(
    (path) => path.split(".").every((name) => name !== "" && !name.startsWith("$") && !name.includes("\0")),
    {
      error: "must be a field's name, or names joined by dots",
    },
  );

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

const sourceName = (example: string) =>
  z
    .string()
    .regex(NAME_PATTERN, { error: "must be 1 to 64 letters, digits, _ or -" })
    .optional()
    .describe(
      `Names the source in \`/readyz\`, metrics and cursors. Default: \`${example}\`, then \`${example}-2\`, …`,
    );

const table = z.strictObject({
  table: z.string().min(1).max(300).describe("The table, as `schema.table` (without schema: `public`)."),
  tenantColumn: identifier
    .default("tenant_id")
    .describe("The column whose text form is the tenant that a row belongs to."),
  hide: z.array(identifier).default([]).describe("Columns that are never delivered."),
});

const postgresSource = z.strictObject({
  kind: z.literal("postgres").describe("What kind of database it is."),
  name: sourceName("postgres"),
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
    .enum(["notify", "wal"])
    .optional()
    .describe(
      "How changes are received: `notify`, by triggers and LISTEN, or `wal`, from the write-ahead log by logical replication. Default: `notify`; of the embedded database, `wal`.",
    ),
  slot: z
    .string()
    .regex(/^[a-z0-9_]{1,63}$/, { error: "must be 1 to 63 lower-case letters, digits or _" })
    .optional()
    .describe(
      "Mode `wal`: the name of the replication slot and the publication. Servers of one name take turns. Default: `paperdb_` and the database's oid.",
    ),
  collections: z
    .record(collectionName, table)
    .optional()
    .describe(
      "Public name → table, and then only those. Default: every table with a `tenant_id` column and a primary key.",
    ),
});

const mongoCollection = z.strictObject({
  collection: z
    .string()
    .min(1)
    .max(255)
    .refine((name) => !name.includes("$") && !name.includes("\0") && !name.startsWith("system."), {
      error: "must be a collection's name, without $",
    })
    .describe("The collection's name in the database."),
  tenantField: fieldPath
    .default("tenantId")
    .describe("The field whose text form is the tenant that a document belongs to."),
  hide: z
    .array(fieldPath)
    .default([])
    .describe("Fields that are never delivered, such as `notes` or `address.street`."),
});

const mongoSource = z.strictObject({
  kind: z.literal("mongodb").describe("What kind of database it is."),
  name: sourceName("mongodb"),
  url: mongoUrl.optional().describe("Where the replica set is. Default: `mongodbUrl`."),
  database: z
    .string()
    .min(1)
    .max(63)
    .refine((name) => !/[/\\. "$*<>:|?\0]/.test(name), { error: "must be a database's name" })
    .optional()
    .describe("The database. Default: the path of the URL."),
  collections: z
    .record(collectionName, mongoCollection)
    .optional()
    .describe(
      "Public name → collection, and then only those. Default: every collection of the database, with the tenant in `tenantId`.",
    ),
});

/** One entry of `sources`. */
export const sourceSchema = z.discriminatedUnion("kind", [postgresSource, mongoSource]);

function isPostgresUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  return ["postgres:", "postgresql:"].includes(new URL(text).protocol);
}
