import { STATUS_CODES } from "node:http";
import { ERRORS, RealtimeError } from "@paperdb/protocol";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { z } from "zod";

/** An error answer: RFC 9457, with a stable `code`. */
export const problemSchema = z
  .object({
    type: z.string().describe("A URI reference that names the kind of problem"),
    title: z.string().describe("The same for every occurrence of the code"),
    status: z.int(),
    detail: z.string().describe("What was wrong here, and what to do"),
    code: z.string().describe("Stable; see docs/errors.md"),
    retryable: z.boolean().describe("Whether the same request may succeed later"),
  })
  .meta({ id: "Problem" });

const CHALLENGE = 'Bearer realm="paperdb"';

/** The body of an error answer, as text. */
function problemBody(error: RealtimeError): string {
  const { title, status, retryable } = ERRORS[error.code];
  return JSON.stringify({
    type: `urn:paperdb:error:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    retryable,
  });
}

/** Answers what Fastify refuses before it looks for a route, such as a URL that cannot be decoded. */
export function answerFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  void sendProblem(reply, toRealtimeError(error, request));
}

/** Makes every failure of every route a problem answer. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toRealtimeError(error, request);
    if (problem.code === "internal") request.log.error({ err: error }, "request failed");
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) => sendProblem(reply, notFound(request)));
}

function sendProblem(reply: FastifyReply, problem: RealtimeError): FastifyReply {
  if (problem.retryAfterSeconds !== undefined) {
    reply.header("retry-after", String(Math.ceil(problem.retryAfterSeconds)));
  }
  if (problem.status === 401) reply.header("www-authenticate", CHALLENGE);
  return reply
    .code(problem.status)
    .type("application/problem+json")
    .serializer((body: unknown) => String(body))
    .send(problemBody(problem));
}

function toRealtimeError(error: FastifyError, request: FastifyRequest): RealtimeError {
  if (error instanceof RealtimeError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [first] = error.validation;
    const field = first?.instancePath.slice(1).replaceAll("/", ".") ?? "";
    const where =
      error.validationContext === "querystring" ? "query" : (error.validationContext ?? "request");
    return invalidInput(where, field, first?.message);
  }
  const status = error.statusCode ?? 500;
  if (status === 413) {
    const limit = request.routeOptions.bodyLimit;
    return new RealtimeError("payload_too_large", `The body is larger than the limit of ${limit} bytes.`);
  }
  if (status === 415) {
    return new RealtimeError("unsupported_media_type", 'Send JSON with "Content-Type: application/json".');
  }
  if (status >= 400 && status < 500) {
    return new RealtimeError("invalid_request", `${error.message}.`, {
      cause: error,
    });
  }
  return new RealtimeError("internal", "The server failed; its log has the cause.", { cause: error });
}

/** @param where - the part of the request. @param field - in it; empty: the whole. */
export function invalidInput(where: string, field: string, message = "is not valid"): RealtimeError {
  const what = field === "" ? `The ${where}` : `"${field}" in the ${where}`;
  return new RealtimeError("invalid_request", `${what}: ${message}.`);
}

function notFound(request: FastifyRequest): RealtimeError {
  const path = request.url.split("?", 1)[0] ?? "";
  if (path === "/console" || path.startsWith("/console/")) {
    return new RealtimeError("not_found", "The web console is not part of this version.");
  }
  return new RealtimeError(
    "not_found",
    `${request.method} on this path is not an endpoint. GET /openapi.json lists what there is.`,
  );
}

/** What Node's HTTP parser refuses never reaches a route: answered on the bare socket. */
export function malformedRequestAnswer(status: number): string {
  const problem =
    status === 431
      ? new RealtimeError("headers_too_large", "The limit is 16 KiB: shorten the URL or the headers.")
      : new RealtimeError("invalid_request", "The request is not valid HTTP.");
  return problemAnswer(problem);
}

/** A whole HTTP answer, for a socket that no response belongs to. */
export function problemAnswer(
  problem: RealtimeError,
  headers: Readonly<Record<string, string>> = {},
): string {
  const body = problemBody(problem);
  const { status, retryAfterSeconds } = problem;
  const fields = {
    ...headers,
    ...(status === 401 ? { "www-authenticate": CHALLENGE } : {}),
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterSeconds)) }),
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(body)),
    connection: headers["upgrade"] === undefined ? "close" : "close, upgrade",
  };
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    "",
    body,
  ].join("\r\n");
}
