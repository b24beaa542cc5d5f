import { randomUUID } from "node:crypto";
import { isTopic, RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { requirePublish, type Grant } from "../auth/grant.ts";
import { problemSchema } from "./problem.ts";
import type { EventBus } from "../bus/event-bus.ts";
import type { IdempotencyKeys } from "../bus/idempotency.ts";

/** What the route needs of the rest of the server. */
export interface PublishRouteDependencies {
  readonly bus: EventBus;
  readonly idempotency: IdempotencyKeys;
  readonly maxBodyBytes: number;
  authorize(request: FastifyRequest): Promise<Grant>;
  /** Takes one from the plan's allowance of publish requests. */
  takePublish(grant: Grant): void;
}

/** `POST /v1/events/publish`: one event on the tenant's bus. */
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
      headers: z.looseObject({
        "idempotency-key": z
          .string()
          .min(1, { error: "is empty" })
          .max(255, { error: "has more than 255 characters" })
          .optional()
          .describe("A retry with the same key and body publishes once"),
      }),
      body: z.strictObject({
        topic: z.string({ error: "is missing: a dot-separated name, as text" }),
        data: z.unknown().describe("Any JSON value"),
      }),
      response: {
        202: z.object({ id: z.string().describe("The event's id") }),
        ...Object.fromEntries(
          [400, 401, 403, 409, 413, 415, 429, 503].map((status) => [status, problemSchema]),
        ),
      },
    },
    onRequest: async (request) => {
      const grant = await dependencies.authorize(request);
      requirePublish(grant);
      grants.set(request, grant);
    },
    handler: async (request, reply) => {
      const grant = grants.get(request);
      if (grant === undefined) throw new Error("the request was not authorised");
      const { topic, data } = request.body;
      requireTopic(topic);
      if (data === undefined) {
        throw new RealtimeError("invalid_request", '"data" in the body is missing: give any JSON value.');
      }
      const key = request.headers["idempotency-key"];
      const body = key === undefined ? "" : JSON.stringify(request.body);
      const earlier = key === undefined ? undefined : idempotency.find(grant.tenant, key, body);
      if (earlier !== undefined) return reply.code(202).send({ id: earlier });
      dependencies.takePublish(grant);
      const id = randomUUID();
      if (key !== undefined) idempotency.remember(grant.tenant, key, body, id);
      await bus.publish(grant.tenant, { topic, data: JSON.stringify(data) });
      return reply.code(202).send({ id });
    },
  });
}

function requireTopic(topic: string): void {
  if (isTopic(topic)) return;
  const wildcard = /[*>]/.test(topic);
  throw new RealtimeError(
    "invalid_topic",
    wildcard
      ? '"topic" has a wildcard. An event is published to one topic: name it in full.'
      : '"topic" takes segments of letters, digits, "_" and "-", joined by dots, 256 characters at most.',
  );
}
