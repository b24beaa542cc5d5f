import { RealtimeError } from "@paperdb/protocol";
import { MigrationError } from "../../postgres/migrate.ts";
import { NotifySwallowedError } from "../../postgres/delivery-probe.ts";

/** Why a source cannot be opened, in one line, without the password that the URL may hold. */
export function openError(source: string, url: string, error: unknown): Error {
  if (error instanceof RealtimeError) return error;
  const where = shownUrl(url);
  const explained = error instanceof MigrationError || error instanceof NotifySwallowedError;
  const message = explained
    ? `The source "${source}" cannot be used: ${error.message}`
    : `The source "${source}" cannot be opened (${where}): ${reason(error)}. Check its url.`;
  return new RealtimeError("source_unavailable", message, { cause: error });
}

function shownUrl(url: string): string {
  try {
    const { hostname, port, pathname, username } = new URL(url);
    return `${username === "" ? "" : `${username}@`}${hostname}:${port === "" ? "5432" : port}${pathname}`;
  } catch {
    return "not a URL";
  }
}

/** A host with several addresses fails with an error that carries its sentences inside. */
function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reason).join("; ");
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s+/gu, " ").replace(/\.$/u, "");
}
