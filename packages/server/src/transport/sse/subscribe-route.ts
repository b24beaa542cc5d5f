import type { Socket } from "node:net";
import { RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Grant } from "../../auth/grant.ts";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import { problemSchema } from "../../http/problem.ts";
import type { OpeningCost, OpeningTurns } from "../opening-turns.ts";
import { acceptsGzip } from "./accept-encoding.ts";
import { PLAIN_SSE, type SseEncoding } from "./sse-encoding.ts";
import { SseSession, type SseSessionDependencies } from "./sse-session.ts";
import { subjectOf, subscribeQuerySchema } from "./subscribe-query.ts";
import { cutConnection } from "./taken-socket.ts";

/** What the route needs of the rest of the server. */
export interface SubscribeRouteDependencies extends SseSessionDependencies {
  readonly openings: OpeningTurns;
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  /** For clients that read it; undefined: for none. */
  readonly gzip: SseEncoding | undefined;
  /** Finds out who asks, and that the plan has realtime. */
  authorize(request: FastifyRequest): Promise<Grant>;
}

const OPENING_COST: OpeningCost = 2;

/** `GET /v1/events/subscribe`: one subscription, as Server-Sent Events. */
export function subscribeRoute(app: FastifyInstance, dependencies: SubscribeRouteDependencies): void {
  const grants = new WeakMap<FastifyRequest, Grant>();
  const opening = new WeakSet<Socket>();
  app.withTypeProvider<ZodTypeProvider>().route({
    method: "GET",
    url: "/v1/events/subscribe",
    schema: {
      summary: "Subscribe to a collection or a topic",
      description:
        "Server-Sent Events: `ready` first (after the documents, where asked for), then each change as a plain message `{type, documentId, document}` (on a topic `{topic, data}`) whose id is its cursor; `reset` when changes may have been missed.",
      tags: ["events"],
      security: [{ apikey: [] }, { bearer: [] }],
      querystring: subscribeQuerySchema,
      headers: z.looseObject({
        "last-event-id": z
          .string()
          .optional()
          .describe("The cursor to go on from; EventSource sends it by itself"),
      }),
      response: {
        200: z.string().describe("`text/event-stream`"),
        ...Object.fromEntries([400, 401, 403, 404, 429, 503].map((status) => [status, problemSchema])),
      },
    },
    onRequest: async (request) => {
      await untilItsTurn(dependencies.openings, request);
      grants.set(request, await dependencies.authorize(request));
    },
    handler: async (request, reply) => {
      const grant = grants.get(request);
      if (grant === undefined) throw new Error("the request was not authorised");
      refuseBody(request);
      const subject = subjectOf(request.query, dependencies.filterLimits);
      const cursor = request.headers["last-event-id"] || request.query.cursor;
      const snapshot = request.query.snapshot === "true";
      const encoding = chooseEncoding(dependencies.gzip, request, reply);
      const wish = { subject, cursor, snapshot, encoding };
      const { socket } = request.raw;
      // Its stream would have the connection for itself, and so would the one before.
      if (opening.has(socket)) throw cutPipelined(request);
      opening.add(socket);
      try {
        await new SseSession(dependencies, { request, reply }, grant, wish).open();
      } finally {
        opening.delete(socket);
      }
    },
  });
}

/** Nobody waits any more for a request whose client goes away before: its turn never comes. */
function untilItsTurn(openings: OpeningTurns, { raw }: FastifyRequest): Promise<void> {
  return new Promise((resolve) => {
    // Of pipelined requests the first one has the connection for itself; a client cannot fill the queue with them.
    if (!openings.add(raw.socket, OPENING_COST, resolve)) cutConnection(raw);
  });
}

/** Nobody gets to read the error: the connection is gone, with the stream before. */
function cutPipelined({ raw }: FastifyRequest): RealtimeError {
  cutConnection(raw);
  return new RealtimeError("invalid_request", "A connection carries one stream: open another one for each.");
}

function chooseEncoding(
  gzip: SseEncoding | undefined,
  { headers }: FastifyRequest,
  reply: FastifyReply,
): SseEncoding {
  if (gzip === undefined) return PLAIN_SSE;
  const others = reply.getHeader("vary");
  reply.header("vary", others === undefined ? "accept-encoding" : `${String(others)}, accept-encoding`);
  return acceptsGzip(headers["accept-encoding"]) ? gzip : PLAIN_SSE;
}

/** A body that nobody reads stops the socket, and the end of its peer would go unnoticed. */
function refuseBody({ headers }: FastifyRequest): void {
  const length = headers["content-length"] ?? "0";
  if (length === "0" && headers["transfer-encoding"] === undefined) return;
  throw new RealtimeError("invalid_request", "A subscribe takes no body: send the request without one.");
}
