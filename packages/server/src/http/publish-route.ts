import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { requirePublish, type Grant } from "../auth/grant.ts";
import type { EventBus } from "../bus/event-bus.ts";
import type { IdempotencyKeys } from "../bus/idempotency.ts";
import { invalidInput, problemSchema } from "./problem.ts";
import { publishBodySchema, readPublishBody } from "./publish-body.ts";

/** What the route needs of the rest of the server. */
export interface PublishRouteDependencies {
  readonly bus: EventBus;
  readonly idempotency: IdempotencyKeys;
  readonly maxBodyBytes: number;
  authorize(request: FastifyRequest): Promise<Grant>;
  /** Takes one from the plan's allowance of publish requests. */
  takePublish(grant: Grant): void;
}

const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

const headersSchema = z.looseObject({
  "idempotency-key": z
    .string()
    .min(1)
    .max(MAX_IDEMPOTENCY_KEY_CHARACTERS)
    .optional()
    .describe("A retry with the same key and body publishes once"),
});

/**
 * `POST /v1/events/publish`: one event on the tenant's bus. The schemas describe
 * it; a request is checked by hand, because that takes a fraction of the time.
 */
export function publishRoute(app: FastifyInstance, dependencies: PublishRouteDependencies): void {
  const { bus, idempotency, maxBodyBytes } = dependencies;
  const grants = new WeakMap<FastifyRequest, Grant>();
  app.withTypeProvider<ZodTypeProvider>().route({
    method: "POST",
    url: "/v1/events/publish",
    bodyLimit: maxBodyBytes,
    schema: {
      summary: "Publish an event to the tenant's subscribers",
      tags: ["events"],
      security: [{ apikey: [] }, { bearer: [] }],
      headers: headersSchema,
      body: publishBodySchema,
      response: {
        202: z.object({ id: z.string().describe("The event's id") }),
        ...Object.fromEntries(
          [400, 401, 403, 409, 413, 415, 429, 503].map((status) => [status, problemSchema]),
        ),
      },
    },
    validatorCompiler: () => () => true,
    onRequest: async (request) => {
      const grant = await dependencies.authorize(request);
      requirePublish(grant);
      grants.set(request, grant);
    },
    handler: async (request, reply) => {
      const grant = grants.get(request);
      if (grant === undefined) throw new Error("the request was not authorised");
      const { topic, data } = readPublishBody(request.body);
      const key = readIdempotencyKey(request.headers["idempotency-key"]);
      const body = key === undefined ? "" : JSON.stringify(request.body);
      const earlier = key === undefined ? undefined : idempotency.find(grant.tenant, key, body);
      let id = earlier;
      if (id === undefined) {
        dependencies.takePublish(grant);
        id = randomUUID();
        if (key !== undefined) idempotency.remember(grant.tenant, key, body, id);
        await bus.publish(grant.tenant, { topic, data: JSON.stringify(data) });
      }
      // Of so little the schema would take longer than all the rest.
      return reply.code(202).serializer(JSON.stringify).send({ id });
    },
  });
}

/** @throws {RealtimeError} `invalid_request`. */
function readIdempotencyKey(key: string | undefined): string | undefined {
  if (key === "") throw invalidInput("headers", "idempotency-key", "is empty");
  if (key !== undefined && key.length > MAX_IDEMPOTENCY_KEY_CHARACTERS) {
    const message = `has more than ${MAX_IDEMPOTENCY_KEY_CHARACTERS} characters`;
    throw invalidInput("headers", "idempotency-key", message);
  }
  return key;
}
