import { z } from "zod";
import { PLANS } from "../../tenants/tenant-store.ts";
import { problemSchema } from "../problem.ts";

const MAX_PAGE = 10_000;
const DEFAULT_PAGE = 1000;
const MAX_COLLECTIONS = 1000;
const CONTROL_CHARACTERS = /\p{Cc}/u;

const withoutControls = (text: string): boolean => !CONTROL_CHARACTERS.test(text);

const plan = z.enum(PLANS, { error: 'must be "free", "pro" or "team"' });
const role = z.enum(["anon", "secret"], { error: 'must be "anon" or "secret"' });
const createdAt = z.string().describe("ISO 8601, UTC");

const collections = z
  .array(
    z
      .string({ error: "must be text" })
      .min(1, { error: "must not be empty" })
      .max(200, { error: "must not have more than 200 characters" })
      .refine(withoutControls, { error: "must not contain control characters" }),
    { error: "must be a list of collections" },
  )
  .min(1, { error: "must name a collection; leave it out to grant all" })
  .max(MAX_COLLECTIONS, { error: `must not name more than ${String(MAX_COLLECTIONS)} collections` });

/** A tenant in answers. */
export const tenantSchema = z.object({ id: z.string(), plan, createdAt }).meta({ id: "Tenant" });

/** A key in lists: its text is not stored. */
export const keySchema = z
  .object({
    id: z.string(),
    role,
    collections: z.array(z.string()).nullable().describe("The only ones it grants; null: all"),
    where: z
      .custom<object | null>()
      .meta({ type: ["object", "null"] })
      .describe("Filters by collection: what it grants of them; null: all"),
    createdAt,
  })
  .meta({ id: "Key" });

/** A live connection. */
export const connectionSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    keyId: z.string(),
    transport: z.string(),
    collections: z.array(z.string()).readonly().describe("Those that it is subscribed to"),
    topics: z.array(z.string()).readonly().describe("Topics and patterns that it is subscribed to"),
    remoteAddress: z.string(),
    openedAt: z.string().describe("ISO 8601, UTC"),
  })
  .meta({ id: "Connection" });

/** The body of `POST tenants`. */
export const newTenantBody = z.strictObject({
  id: z
    .string({ error: "is missing: the tenant column's text form" })
    .describe("1 to 200 characters, no control characters; equal to the tenant column's text form"),
  plan,
});

/** The body of `PATCH tenants/:id`. */
export const planBody = z.strictObject({ plan });

/** The body of `POST tenants/:id/keys`. */
export const newKeyBody = z.strictObject({
  role: role.describe("anon: subscribe; secret: also publish"),
  collections: collections.optional().describe("The only ones it grants; they need not exist yet"),
  where: z
    .unknown()
    .optional()
    .describe('Filters by collection, `{"todos":{"owner":"ada"}}`: the only documents it grants of them'),
});

/** A key that was just made. */
export const newKeySchema = z.object({
  id: z.string(),
  role,
  key: z.string().describe("Shown this once; the server keeps its hash only"),
});

/** A part of a list. */
export const pageQuery = z.object({
  after: z
    .string({ error: "give it once" })
    .refine(withoutControls, { error: "must not contain control characters" })
    .optional()
    .describe("Start behind this id: the `next` of the answer before"),
  limit: z.coerce
    .number({ error: "must be a whole number" })
    .int({ error: "must be a whole number" })
    .min(1, { error: "must be 1 or more" })
    .max(MAX_PAGE, { error: `must be ${String(MAX_PAGE)} or less` })
    .default(DEFAULT_PAGE)
    .describe("Entries at most"),
});

/** The `next` of a list that goes on. */
export const nextSchema = z.string().optional().describe("When there is more: ask again with it as `after`");

const pathId = z.string().min(1, { error: "must not be empty" }).refine(withoutControls, {
  error: "must not contain control characters",
});

/** A tenant in the path, percent-encoded. */
export const tenantParams = z.object({ id: pathId });

/** A tenant's key in the path. */
export const keyParams = z.object({ id: pathId, keyId: pathId });

/** A connection in the path. */
export const connectionParams = z.object({ id: pathId });

/** The answers that are problems. */
export function problems(...statuses: readonly number[]): Readonly<Record<number, typeof problemSchema>> {
  return Object.fromEntries([400, 401, 503, ...statuses].map((status) => [status, problemSchema]));
}

/** The answer without a body. */
export const noContent = z.null().describe("Done");
