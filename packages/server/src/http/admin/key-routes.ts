import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { checkFilters } from "../../auth/grant-filters.ts";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { TenantStore } from "../../tenants/tenant-store.ts";
import {
  keyParams,
  keySchema,
  newKeyBody,
  newKeySchema,
  nextSchema,
  noContent,
  pageQuery,
  problems,
  tenantParams,
} from "./admin-schemas.ts";
import { cutPage } from "./page.ts";

const TAGS = { tags: ["admin"], security: [{ bearer: [] }] };

/** `/tenants/:id/keys`. */
export function keyRoutes(app: FastifyInstance, store: TenantStore, filterLimits: FilterLimits): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.route({
    method: "POST",
    url: "/tenants/:id/keys",
    schema: {
      ...TAGS,
      summary: "Create a key",
      params: tenantParams,
      body: newKeyBody,
      response: { 201: newKeySchema, ...problems(404, 415) },
    },
    handler: async ({ params, body }, reply) => {
      const { role, collections } = body;
      const where = checkFilters(body.where, { origin: "where", collections, limits: filterLimits });
      const created = await store.createKey(params.id, role, { collections, where });
      return reply.code(201).header("cache-control", "no-store").send(created);
    },
  });
  routes.route({
    method: "GET",
    url: "/tenants/:id/keys",
    schema: {
      ...TAGS,
      summary: "List a tenant's keys, without their text",
      params: tenantParams,
      querystring: pageQuery,
      response: { 200: z.object({ keys: z.array(keySchema), next: nextSchema }), ...problems(404) },
    },
    handler: async ({ params, query }, reply) => {
      const { entries, next } = await cutPage(query, (page) => store.listKeys(params.id, page));
      const keys = entries.map((key) => ({ ...key, collections: key.collections && [...key.collections] }));
      return reply.send({ keys, next });
    },
  });
  routes.route({
    method: "DELETE",
    url: "/tenants/:id/keys/:keyId",
    schema: {
      ...TAGS,
      summary: "Revoke a key",
      description: "Its connections end within a second.",
      params: keyParams,
      response: { 204: noContent, ...problems(404) },
    },
    handler: async ({ params }, reply) => {
      await store.deleteKey(params.id, params.keyId);
      return reply.code(204).send(null);
    },
  });
}
