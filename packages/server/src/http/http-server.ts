import type { Socket } from "node:net";
import swagger from "@fastify/swagger";
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { allowOrigins } from "./cors.ts";
import { parseJsonBody } from "./json-body.ts";
import { answerFrameworkError, answerProblems, malformedRequestAnswer } from "./problem.ts";

/** How the HTTP server behaves. */
export interface HttpServerOptions {
  /** Origins whose pages may call; `*` is every origin. */
  readonly corsOrigins: readonly string[];
  readonly version: string;
  readonly log: FastifyBaseLogger;
}

const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;

/** A Fastify instance without routes: errors, CORS, OpenAPI, and a log without query strings. */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const app = Fastify({
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    // Streams end by themselves when the server drains; idle keep-alive connections need not be waited for.
    forceCloseConnections: "idle",
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    routerOptions: { maxParamLength: 2048 },
    clientErrorHandler: answerMalformed,
    frameworkErrors: answerFrameworkError,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  parseJsonOnly(app);
  answerProblems(app);
  logRequests(app, options.log);
  await allowOrigins(app, options.corsOrigins);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "PaperDB Realtime",
        description: "Live changes of your own data, to browsers and services, each tenant its own.",
        version: options.version,
      },
      components: {
        securitySchemes: {
          apikey: { type: "apiKey", in: "header", name: "apikey" },
          bearer: { type: "http", scheme: "bearer" },
        },
      },
    },
    transform: jsonSchemaTransform,
  });
  app.get("/openapi.json", { schema: { hide: true } }, (_request, reply) => reply.send(app.swagger()));
  return app;
}

/** Members of any name are data here: nothing is merged into objects of ours. */
function parseJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(String(body)));
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

/**
 * Fastify takes the time of every request for a logger that it is made with, so it gets ours afterwards.
 * Requests are logged by their paths only: query strings can carry keys. Nothing is done for it where nobody reads it.
 */
function logRequests(app: FastifyInstance, log: FastifyBaseLogger): void {
  app.log = log;
  if (log.level !== "debug" && log.level !== "trace") {
    app.setChildLoggerFactory(() => log);
    return;
  }
  app.setChildLoggerFactory((_none, bindings) => log.child(bindings));
  app.addHook("onResponse", (request, reply, done) => {
    request.log.debug(
      {
        method: request.method,
        path: request.url.split("?", 1)[0],
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      "request answered",
    );
    done();
  });
}

function answerMalformed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(malformedRequestAnswer(error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400));
}
