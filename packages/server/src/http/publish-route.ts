import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
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
  authorize(request: FastifyRequest): Grant | Promise<Grant>;
  /** Takes one from the plan's allowance of publish requests. */
  takePublish(grant: Grant): void;
}

const GRANT = "publishGrant";
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
  app.decorateRequest(GRANT, null);
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
    onRequest: (request, _reply, proceed) => {
      const admit = (grant: Grant): void => {
        requirePublish(grant);
        request.setDecorator(GRANT, grant);
      };
      const grant = dependencies.authorize(request);
      if (grant instanceof Promise) {
        grant.then(admit).then(() => proceed(), proceed);
        return;
      }
      admit(grant);
      proceed();
    },
    handler: (request, reply) => {
      const grant = request.getDecorator<Grant | null>(GRANT);
      if (grant === null) throw new Error("the request was not authorised");
      const { topic, data } = readPublishBody(request.body);
      const key = readIdempotencyKey(request.headers["idempotency-key"]);
      const body = key === undefined ? "" : JSON.stringify(request.body);
      const earlier = key === undefined ? undefined : idempotency.find(grant.tenant, key, body);
      let id = earlier;
      if (id === undefined) {
        dependencies.takePublish(grant);
        id = randomUUID();
        if (key !== undefined) idempotency.remember(grant.tenant, key, body, id);
        const waiting = bus.publish(grant.tenant, { topic, data: JSON.stringify(data) });
        if (waiting !== undefined) {
          const answered = id;
          return waiting.then(() => answer(reply, answered));
        }
      }
      answer(reply, id);
      return undefined;
    },
  });
}

/** Of so little the schema would take longer than all the rest. */
function answer(reply: FastifyReply, id: string): void {
  void reply.code(202).header("content-type", "application/json; charset=utf-8").send(`{"id":"${id}"}`);
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
