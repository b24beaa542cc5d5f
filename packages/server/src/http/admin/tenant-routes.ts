import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { TenantStore } from "../../tenants/tenant-store.ts";
import {
  newTenantBody,
  nextSchema,
  noContent,
  pageQuery,
  planBody,
  problems,
  tenantParams,
  tenantSchema,
} from "./admin-schemas.ts";
import { cutPage } from "./page.ts";

const TAGS = { tags: ["admin"], security: [{ bearer: [] }] };

/** `/tenants`. */
export function tenantRoutes(app: FastifyInstance, store: TenantStore): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.route({
    method: "POST",
    url: "/tenants",
    schema: {
      ...TAGS,
      summary: "Create a tenant",
      body: newTenantBody,
      response: { 201: tenantSchema, ...problems(409, 415) },
    },
    handler: async ({ body }, reply) => reply.code(201).send(await store.createTenant(body.id, body.plan)),
  });
  routes.route({
    method: "GET",
    url: "/tenants",
    schema: {
      ...TAGS,
      summary: "List tenants, in order of ids",
      querystring: pageQuery,
      response: { 200: z.object({ tenants: z.array(tenantSchema), next: nextSchema }), ...problems() },
    },
    handler: async ({ query }, reply) => {
      const { entries, next } = await cutPage(query, (page) => store.listTenants(page));
      return reply.send({ tenants: entries, next });
    },
  });
  routes.route({
    method: "PATCH",
    url: "/tenants/:id",
    schema: {
      ...TAGS,
      summary: "Move a tenant to another plan",
      description: "A plan without realtime ends the tenant's connections within a second.",
      params: tenantParams,
      body: planBody,
      response: { 200: tenantSchema, ...problems(404, 415) },
    },
    handler: async ({ params, body }, reply) => reply.send(await store.setPlan(params.id, body.plan)),
  });
  routes.route({
    method: "DELETE",
    url: "/tenants/:id",
    schema: {
      ...TAGS,
      summary: "Delete a tenant and its keys",
      description: "Its connections end within a second. The tenant's data stays.",
      params: tenantParams,
      response: { 204: noContent, ...problems(404) },
    },
    handler: async ({ params }, reply) => {
      await store.deleteTenant(params.id);
      return reply.code(204).send(null);
    },
  });
}
