import cors from "@fastify/cors";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

const MAX_AGE_SECONDS = 600;

/**
 * Lets pages of these origins call, by CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).
 *
 * The plugin answers preflights only, in a context of its own: on every request, it takes a tenth of a publish.
 *
 * @param origins - `*` is every origin.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  const allowsAll = origins.includes("*");
  await app.register(async (preflights) => {
    await preflights.register(cors, {
      origin: allowsAll ? "*" : [...origins],
      methods: ["GET", "POST"],
      allowedHeaders: ["apikey", "authorization", "content-type", "idempotency-key", "last-event-id"],
      maxAge: MAX_AGE_SECONDS,
    });
  });
  const allowed: ReadonlySet<string> = new Set(origins);
  app.addHook("onRequest", (request, reply, done) => {
    if (allowsAll) reply.header("access-control-allow-origin", "*");
    else allowOne(request, reply, allowed);
    done();
  });
}

/** The answer is another one for each origin, and caches have to know it. */
function allowOne(
  { headers: { origin } }: FastifyRequest,
  reply: FastifyReply,
  allowed: ReadonlySet<string>,
): void {
  reply.header("vary", "Origin");
  if (origin !== undefined && allowed.has(origin)) reply.header("access-control-allow-origin", origin);
}
