import { RealtimeError } from "@paperdb/protocol";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { connectionParams, connectionSchema, noContent, pageQuery, problems } from "./admin-schemas.ts";

/** The live connections of this server. */
export interface ConnectionDirectory {
  list(): readonly z.infer<typeof connectionSchema>[];
  /** False when there is no connection of this id. */
  end(id: string): boolean;
}

const TAGS = { tags: ["admin"], security: [{ bearer: [] }] };

/** `/connections`, of this server only. */
export function connectionRoutes(app: FastifyInstance, connections: ConnectionDirectory): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.route({
    method: "GET",
    url: "/connections",
    schema: {
      ...TAGS,
      summary: "List live connections of this server",
      querystring: pageQuery.pick({ limit: true }).extend({
        tenant: z.string({ error: "give it once" }).optional().describe("Only this tenant's"),
      }),
      response: {
        200: z.object({
          connections: z.array(connectionSchema),
          total: z.int().describe("How many there are, also beyond `limit`"),
        }),
        ...problems(),
      },
    },
    handler: async ({ query }, reply) => {
      const all = connections
        .list()
        .filter(({ tenant }) => query.tenant === undefined || tenant === query.tenant);
      return reply.send({ connections: all.slice(0, query.limit), total: all.length });
    },
  });
  routes.route({
    method: "DELETE",
    url: "/connections/:id",
    schema: {
      ...TAGS,
      summary: "End a connection",
      description: "Its client may come back: revoke its key to keep it away.",
      params: connectionParams,
      response: { 204: noContent, ...problems(404) },
    },
    handler: async ({ params }, reply) => {
      if (!connections.end(params.id)) {
        throw new RealtimeError(
          "not_found",
          "There is no connection of this id: GET /v1/admin/connections lists them.",
        );
      }
      return reply.code(204).send(null);
    },
  });
}
