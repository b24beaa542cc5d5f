import { RealtimeError } from "@paperdb/protocol";
import type { DatabaseError } from "pg";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { CapturedTable } from "../table.ts";

/** PostgreSQL publishes ordinary tables only. */
export function unlogged({ name }: CapturedTable, cause: DatabaseError): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `PostgreSQL cannot publish the table ${quoteQualifiedName(name)}, since it is unlogged or foreign: make it an ordinary one (ALTER TABLE … SET LOGGED), or use mode "notify".`,
    { cause },
  );
}

/** @param byHand - the SQL for somebody who may. */
export function notOwner({ name }: CapturedTable, byHand: string, cause: DatabaseError): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `The server's database user may not publish ${quoteQualifiedName(name)}: make it a member of the table's owner (GRANT <owner> TO <user>), or run, as a superuser: ${byHand}`,
    { cause },
  );
}

/** For another reason, such as an event trigger's. */
export function refused({ name }: CapturedTable, byHand: string, cause: DatabaseError): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `The database does not let the server publish ${quoteQualifiedName(name)} (SQLSTATE ${cause.code ?? "?"}, see the server's log). To do it by hand, run: ${byHand}`,
    { cause },
  );
}

/** Its turn never came. */
export function staysLocked(
  { name }: CapturedTable,
  timeoutMs: number,
  byHand: string,
  cause: unknown,
): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The table ${quoteQualifiedName(name)} was locked by a long transaction for ${String(timeoutMs / 1000)} s, so it could not be published: try again, or end it, or run: ${byHand}`,
    { cause, retryAfterSeconds: 5 },
  );
}

/** Somebody else published it, and it is not known yet what of its changes is missing. */
export function stillWritten({ name }: CapturedTable, timeoutMs: number): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The table ${quoteQualifiedName(name)} was put into the publication while a transaction wrote to it that has not ended for ${String(timeoutMs / 1000)} s: try again, or end it.`,
    { retryAfterSeconds: 5 },
  );
}
