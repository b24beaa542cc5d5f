import { PaperDBError } from "./paperdb-error.ts";

/** A request to the server's HTTP side. */
export interface PostRequest {
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly body: unknown;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The members of a problem answer (RFC 9457) that the SDK reads. */
interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
}

/**
 * Posts JSON and reads JSON.
 *
 * @throws PaperDBError for an error answer, with its code, and when there is no answer; what the signal was aborted with.
 */
export async function postJson(
  fetch: typeof globalThis.fetch,
  { url, apiKey, body, idempotencyKey, signal }: PostRequest,
): Promise<Record<string, unknown>> {
  if (apiKey === undefined) {
    throw new PaperDBError("api_key_required", "This needs apiKey: call it in your backend.");
  }
  const text = JSON.stringify(body);
  let status: number | undefined;
  let answer: Record<string, unknown> = {};
  let cause: unknown;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        authorization: `Bearer ${apiKey}`,
        "content-type": "application/json",
        ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
      },
      body: text,
      signal: signal ?? null,
    });
    status = response.status;
    answer = Object(await response.json());
    if (response.ok) return answer;
  } catch (error) {
    signal?.throwIfAborted();
    cause = error;
  }
  if (status === undefined) {
    throw new PaperDBError("network_error", `${url} did not answer.`, { cause, retryable: true });
  }
  const {
    code = "http_error",
    detail = `${url} answered ${status}.`,
    retryable = status >= 500,
  } = answer as Partial<Problem>;
  throw new PaperDBError(code, detail, { status, cause, retryable });
}
