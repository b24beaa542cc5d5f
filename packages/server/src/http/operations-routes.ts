import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { SourceState } from "../source/change-source.ts";

/** One line of `/readyz`. */
export interface Readiness {
  readonly name: string;
  readonly state: SourceState;
}

/** What the routes need of the rest of the server. */
export interface OperationsDependencies {
  readiness(): readonly Readiness[];
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
}

const readinessSchema = z.object({
  status: z.enum(["ready", "not_ready"]),
  sources: z.array(
    z.object({
      name: z.string(),
      live: z.boolean(),
      detail: z.string().optional().describe("Why it is not live, or what it does not do"),
    }),
  ),
});

/** `/healthz`, `/readyz`, `/metrics`: for probes and monitoring; no key needed. */
export function operationsRoutes(app: FastifyInstance, dependencies: OperationsDependencies): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  typed.get(
    "/healthz",
    {
      schema: {
        summary: "Whether the process is alive",
        tags: ["operations"],
        response: { 200: z.object({ status: z.literal("ok") }) },
      },
    },
    () => ({ status: "ok" as const }),
  );
  typed.get(
    "/readyz",
    {
      schema: {
        summary: "Whether every source is live",
        tags: ["operations"],
        response: { 200: readinessSchema, 503: readinessSchema },
      },
    },
    async (_request, reply) => {
      const sources = dependencies.readiness().map(({ name, state }) => {
        const detail = state.live ? state.detail : state.reason;
        return { name, live: state.live, ...(detail === undefined ? {} : { detail }) };
      });
      const ready = sources.every(({ live }) => live);
      return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not_ready", sources });
    },
  );
  typed.get(
    "/metrics",
    {
      schema: {
        summary: "Prometheus metrics",
        tags: ["operations"],
        response: { 200: z.string().describe("Prometheus text format") },
      },
    },
    async (_request, reply) => {
      const { contentType, text } = await dependencies.metrics();
      return reply.type(contentType).serializer(String).send(text);
    },
  );
}
