import { isTopicPattern, RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { requireCollection, requireMint, requireTopic, type Grant } from "../auth/grant.ts";
import { checkFilters } from "../auth/grant-filters.ts";
import type { RealtimeTokens } from "../auth/realtime-token.ts";
import { TOKEN_PERMISSIONS } from "../auth/token-claims.ts";
import type { FilterLimits } from "../filter/filter-limits.ts";
import type { SourceDirectory } from "../source/source-directory.ts";
import { problemSchema } from "./problem.ts";

/** What the route needs of the rest of the server. */
export interface TokenRouteDependencies {
  readonly tokens: RealtimeTokens;
  readonly directory: SourceDirectory;
  /** Collections and topics that one token may name. */
  readonly maxGrants: number;
  /** Of each filter. */
  readonly filterLimits: FilterLimits;
  /** Finds out who asks, and that the plan has realtime. */
  authorize(request: FastifyRequest): Grant | Promise<Grant>;
  /** The longest life of a token that the grant's plan allows. */
  maxTokenSeconds(grant: Grant): number;
}

const DEFAULT_LIFETIME_SECONDS = 900;
const MAX_BODY_BYTES = 65_536;
const EXPIRES_IN = "must be a whole number of seconds, 1 or more";

const names = z
  .array(z.string({ error: "must be text" }).min(1, { error: "must not be empty" }), {
    error: "must be a list of names",
  })
  .min(1, { error: "must not be empty: name one, or leave it out" });

const tokenBody = z.strictObject({
  collections: names.optional().describe("Those that the token may subscribe to; none without"),
  topics: names.optional().describe("Topics and patterns that the token may subscribe to; none without"),
  permissions: z
    .array(z.enum(TOKEN_PERMISSIONS, { error: 'must be "read", which is the only permission' }), {
      error: 'must be a list: ["read"]',
    })
    .min(1, { error: 'must not be empty: give ["read"], or leave it out' })
    .default(["read"]),
  expiresIn: z
    .int({ error: EXPIRES_IN })
    .min(1, { error: EXPIRES_IN })
    .optional()
    .describe("How long the token is good for, in seconds; 900 unless the plan's maximum is smaller"),
  filters: z
    .unknown()
    .optional()
    .describe(
      'Filters by collection, `{"messages":{"room":"42"}}`: the only documents of them that the token may see',
    ),
});

/** `POST /realtime/token`: a short-lived token for some collections and topics of the key's tenant. */
export function tokenRoute(app: FastifyInstance, dependencies: TokenRouteDependencies): void {
  const { tokens, directory, maxGrants } = dependencies;
  const grants = new WeakMap<FastifyRequest, Grant>();
  app.withTypeProvider<ZodTypeProvider>().route({
    method: "POST",
    url: "/realtime/token",
    bodyLimit: MAX_BODY_BYTES,
    schema: {
      summary: "Mint a short-lived token for a browser",
      description: "With a secret key, from a backend. The token only subscribes, to what it names.",
      tags: ["tokens"],
      security: [{ apikey: [] }, { bearer: [] }],
      body: tokenBody,
      response: {
        200: z.object({
          token: z.string().describe("A JWT"),
          expiresAt: z.string().describe("ISO 8601, UTC"),
        }),
        ...Object.fromEntries([400, 401, 403, 404, 413, 415, 503].map((status) => [status, problemSchema])),
      },
    },
    onRequest: async (request) => {
      const grant = await dependencies.authorize(request);
      requireMint(grant);
      grants.set(request, grant);
    },
    handler: async (request, reply) => {
      const grant = grants.get(request);
      if (grant === undefined) throw new Error("the request was not authorised");
      const { permissions, expiresIn } = request.body;
      const collections = [...new Set(request.body.collections)];
      const topics = [...new Set(request.body.topics)];
      requireNames(collections, topics, maxGrants);
      const limits = dependencies.filterLimits;
      const filters = checkFilters(request.body.filters, { origin: "filters", collections, limits });
      const lifetimeSeconds = lifetimeOf(expiresIn, grant, dependencies.maxTokenSeconds(grant));
      for (const collection of collections) requireCollection(grant, collection);
      for (const topic of topics) requireTopic(grant, topic);
      for (const collection of collections) await directory.find(collection);
      const { tenant, keyId } = grant;
      const minted = { tenant, keyId, collections, topics, permissions, filters, lifetimeSeconds };
      const { token, expiresAt } = await tokens.mint({ ...minted, permissions: [...new Set(permissions)] });
      reply.header("cache-control", "no-store");
      return { token, expiresAt: expiresAt.toISOString() };
    },
  });
}

function requireNames(collections: readonly string[], topics: readonly string[], maxGrants: number): void {
  if (collections.length + topics.length === 0) {
    throw new RealtimeError(
      "invalid_request",
      'The body names nothing that the token is for: give "collections", "topics" or both.',
    );
  }
  if (collections.length + topics.length > maxGrants) {
    throw new RealtimeError(
      "invalid_request",
      `"collections" and "topics" name more than ${maxGrants} together: name fewer, or raise tokens.maxGrants.`,
    );
  }
  if (topics.every(isTopicPattern)) return;
  throw new RealtimeError(
    "invalid_topic",
    '"topics" takes segments of letters, digits, "_" and "-", joined by dots; "*" stands for one segment, a last ">" for the rest.',
  );
}

function lifetimeOf(expiresIn: number | undefined, { plan }: Grant, maxSeconds: number): number {
  if (expiresIn === undefined) return Math.min(DEFAULT_LIFETIME_SECONDS, maxSeconds);
  if (expiresIn <= maxSeconds) return expiresIn;
  throw new RealtimeError(
    "invalid_request",
    `"expiresIn" is more than the ${maxSeconds} seconds that the plan "${plan}" allows: give ${maxSeconds} or less.`,
  );
}
